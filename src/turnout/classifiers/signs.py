"""Fast checks that a text has nothing in an encoding, so that its decoder need not run.

Each check looks for a run of the encoding's signs by translating bytes, which is hundreds of times
as fast as matching a pattern. A check may pass a text that is not encoded, but it passes every
encoded one; then the decoder decides. All take the text in UTF-8.
"""

from collections.abc import Callable

Check = Callable[[bytes], bool]

_HIGH = bytes(range(128, 256))
_BLANK = b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"
_DIGITS = b"0123456789"
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTERS = _UPPER + _UPPER.lower()
# Those of the letters that European languages add.
_LATIN = bytes(range(0x80, 0xC6))
_BEGINNING = 600


def run_of(signs: bytes, length: int, skipped: bytes = b"") -> Check:
    """Whether ``length`` of the signs are in a row; ``skipped`` bytes do not count."""
    table = bytes(1 if byte in signs else 0 for byte in range(256))
    wanted = b"\x01" * length
    return lambda raw: wanted in raw.translate(table, skipped)


def several(sign: bytes, count: int) -> Check:
    """Whether the sign occurs at least ``count`` times."""
    return lambda raw: raw.count(sign) >= count


def anything(_raw: bytes) -> bool:
    """The check for encodings that are cheaper to decode than to check."""
    return True


base64_like = run_of(_LETTERS + _DIGITS + b"+/_-", 16)
base32_like = run_of(_UPPER + b"234567", 16)
hex_like = run_of(_DIGITS + b"abcdefABCDEF", 16, _BLANK + _HIGH + b":,x\\")
binary_like = run_of(b"01", 28, _BLANK + _HIGH)
decimal_like = run_of(_DIGITS, 24, _BLANK + _HIGH + b",;")
quoted_like = several(b"=", 3)
percent_like = several(b"%", 3)
entity_like = several(b"&", 3)
markup_like = several(b"</", 1)
reply_like = several(b">", 1)
escape_like = several(b"\\", 3)
braille_like = several(b"\xe2", 2)


def json_like(raw: bytes) -> bool:
    """Whether there may be a string in an object or a list."""
    return b'"' in raw and (b"{" in raw or b"[" in raw)


def yaml_like(raw: bytes) -> bool:
    """Whether two names with values may stand on lines of their own."""
    return raw.count(b":") > 1 and b"\n" in raw


def table_like(raw: bytes) -> bool:
    """Whether two rows of three cells may follow each other."""
    if b"\n" not in raw:
        return False
    if raw.count(b"|") > 3 or raw.count(b"\t") > 3:
        return True
    # Behind the commas of sentences stand blanks.
    return any(raw.count(sign) - raw.count(sign + b" ") > 3 for sign in (b",", b";"))


def capitals_like(raw: bytes) -> bool:
    """Whether one byte in four is a capital letter; in German and in titles one in eight is."""
    beginning = raw[:_BEGINNING]
    return (len(beginning) - len(beginning.translate(None, _UPPER))) * 4 > len(beginning)


def morse_like(raw: bytes) -> bool:
    """Whether dots and dashes may be code; one of the rare wide ones is enough."""
    return _short_signs(raw) or b"\xc2\xb7" in raw or b"\xe2\x80\x93" in raw


def dotted_like(raw: bytes) -> bool:
    """Whether there may be signs between single letters, as in ``h.o.w``."""
    marked = raw.translate(_DOTTED)
    return b"wdwdw" in marked or b"wd dw" in marked or b"__" in raw or not raw.isascii()


joined_like = run_of(_LETTERS + _DIGITS + _LATIN + b"-_.+/", 16)
_short_signs = run_of(b".-_", 6, b" /|\n")
_DOTTED = bytes(
    ord("d") if byte in b".-_*|/" else ord("w") if byte in _LETTERS + _DIGITS else ord(" ")
    for byte in range(256)
)
