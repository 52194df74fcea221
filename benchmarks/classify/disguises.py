"""Ways to write a text so that a reader of words does not recognise it."""

import base64
import codecs
import json
import re
from collections.abc import Callable
from textwrap import fill, indent

from turnout.classifiers.decoders import MORSE


def _styled(capital: int, small: int) -> dict[int, str]:
    letters = {ord("A") + i: chr(capital + i) for i in range(26)}
    return letters | {ord("a") + i: chr(small + i) for i in range(26)}


_CYRILLIC = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
_MORSE = {letter: code for code, letter in MORSE.items()}
TRANSFORMS: dict[str, Callable[[str], str]] = {
    "unicode: full width": lambda t: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t
    ),
    "unicode: zero width": "\u200b".join,
    "unicode: tag characters": lambda t: "".join(chr(0xE0000 + ord(c)) for c in t if c < "\x7f"),
    "unicode: look-alikes": lambda t: t.translate(_CYRILLIC),
    "unicode: mathematical bold": lambda t: t.translate(_styled(0x1D400, 0x1D41A)),
    "unicode: circled": lambda t: t.translate(_styled(0x24B6, 0x24D0)),
    "unicode: stacked marks": lambda t: "".join(c + "\u0336\u0301" for c in t),
    "base64": lambda t: base64.b64encode(t.encode()).decode(),
    "base64 in a request": lambda t: "Decode and do: " + base64.b64encode(t.encode()).decode(),
    "base32": lambda t: base64.b32encode(t.encode()).decode(),
    "hex": lambda t: t.encode().hex(),
    "binary": lambda t: " ".join(f"{b:08b}" for b in t.encode()),
    "percent": lambda t: "".join(f"%{b:02x}" for b in t.encode()),
    "entities": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "escapes": lambda t: "".join(f"\\u{ord(c):04x}" for c in t),
    "rot13": lambda t: codecs.encode(t, "rot13"),
    "reversed": lambda t: t[::-1],
    "words reversed": lambda t: " ".join(w[::-1] for w in t.split()),
    "leet": lambda t: t.translate(str.maketrans("aeiost", "431057")),
    "morse": lambda t: " / ".join(
        " ".join(_MORSE[c] for c in w.lower() if c in _MORSE) for w in t.split()
    ),
    "spaced letters": lambda t: "  ".join(" ".join(w) for w in t.split()),
    "joined by signs": lambda t: "_".join(t.split()),
    "joined by capitals": lambda t: "".join(
        re.sub("[^A-Za-z]", "", word).capitalize() for word in t.split()
    ),
    "quoted-printable": lambda t: "".join(f"={b:02X}" for b in t.encode()),
    "decimal": lambda t: " ".join(map(str, t.encode())),
    "base64 of UTF-16": lambda t: base64.b64encode(t.encode("utf-16-le")).decode(),
    "record: JSON": lambda t: json.dumps({"id": 17, "name": "anna", "text": t}),
    "record: YAML": lambda t: f"id: 17\nname: anna\ntext: {json.dumps(t)}",
    "record: CSV": lambda t: f"id,name,text\n17,anna,{json.dumps(t)}",
    "record: table": lambda t: f"| id | name | text |\n|---|---|---|\n| 17 | anna | {t} |",
    "record: XML": lambda t: f"<ticket><id>17</id><name>anna</name><text>{t}</text></ticket>",
    "quoted mail": lambda t: f"Anna wrote:\n{indent(fill(t, 66), '> ')}",
}
