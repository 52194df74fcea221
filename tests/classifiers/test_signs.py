"""The cheap checks never keep a decoder from what it would have read."""

from hypothesis import given
from hypothesis import strategies as st

from turnout.classifiers.decoders import ENCODINGS
from turnout.classifiers.glyphs import without_letter_spacing

_SIGNS = st.text("aZ9f0 1.-_·–/|\n\\x%&#;=⠓⠊é漢:u4,<>", max_size=80)
_UNITS = st.sampled_from(
    ["aGVsbG8g", "NBSWY3DP", "68 65 ", "0x68,", "\\x68", "01101000 ", "%68", "%68 a", "&#104;",
     "\\u0068", "\\150", ".- ", "·– ", "⠓⠊", "a.b", "h_o", " ", "é", "漢", "word ", "104, ",
     "=68", "=68 a", "a: ", "\n", "|", "one,", "> ", "a>", "</", "one of a few words "]
)  # fmt: skip


@given(st.one_of(_SIGNS, st.lists(_UNITS, max_size=30).map("".join)))
def test_what_is_decoded_passes_its_check(text: str) -> None:
    """A check may be wrong in one direction only."""
    raw = text.encode()
    for may_hold, decode in ENCODINGS:
        if not may_hold(raw):
            assert decode(text) in (None, text)


def test_a_check_spares_plain_text() -> None:
    """Prose passes none of the checks that are worth having."""
    raw = b"Please explain to me, step by step, how a steam engine turns heat into work. " * 40
    passed = [decode.__name__ for may_hold, decode in ENCODINGS if may_hold(raw)]
    assert passed == ["from_leet", "from_reversal", "from_reversed_words", "from_rotation"]


def test_dotted_words_are_joined_in_any_script() -> None:
    """The check before it lets every kind of separator through."""
    assert [without_letter_spacing(t) for t in ("h.o.w", "h_o_w", "h·o·w", "к.а.к")] == [
        "how",
        "how",
        "how",
        "как",
    ]
