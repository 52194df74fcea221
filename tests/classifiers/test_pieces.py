"""The two splitters are one: which of them runs cannot be told from the ids."""

import pytest

from turnout.classifiers.artefact import Artefact
from turnout.classifiers.pieces import PieceTokenizer

TEXTS = [
    "Write a Python function to parse CSV files",
    "  spaces   and\ttabs\nand lines ",
    "Wie hoch ist der Kilimandscharo? ¿Y el Aconcagua?",
    "用三句话总结这篇文章。",
    "राजधानी क्या है",
    "안녕하세요, 오늘 뭐 해요?",
    "def f(x): return x**2  # </s> <unk> <s>",
    "<unk><unk> a<unk>😀😀",
    "😀😀 𝒳 é e\u0301 ﬁ",
    "x" * 300,
    "\u2581 is how a space is marked, and\u2581 \u2581\u2581 so on",
]


@pytest.fixture(scope="module")
def pieces() -> tuple[list[str], list[float]]:
    """The shipped pieces and their scores."""
    arrays = Artefact.load(None).arrays
    return arrays["pieces"].tobytes().decode().split("\n"), arrays["scores"].tolist()


@pytest.mark.parametrize("text", TEXTS)
def test_python_and_compiled_splitter_agree(
    pieces: tuple[list[str], list[float]], text: str
) -> None:
    """The same text gives the same ids before and after the compiled splitter is built."""
    tokenizer = PieceTokenizer(*pieces)
    before = tokenizer.ids(text)
    tokenizer.compile()
    assert tokenizer.ids(text) == before
    assert before


def test_blank_text_has_no_pieces(pieces: tuple[list[str], list[float]]) -> None:
    """White space alone is nothing."""
    assert PieceTokenizer(*pieces).ids(" \n\t ") == []


def test_half_a_character_is_an_unknown_one(pieces: tuple[list[str], list[float]]) -> None:
    """What an escape decodes to need not be text; both splitters read it alike."""
    tokenizer = PieceTokenizer(*pieces)
    before = tokenizer.ids("half \udc80 one")
    tokenizer.compile()
    assert tokenizer.ids("half \udc80 one") == before == tokenizer.ids("half \ufffd one")


def test_a_text_that_is_being_split_stays_whole(pieces: tuple[list[str], list[float]]) -> None:
    """Another thread may build the compiled splitter meanwhile."""

    class Scores(list[float]):
        def __getitem__(self, at: object) -> float:  # type: ignore[override]
            tokenizer.compile()
            return super().__getitem__(at)  # type: ignore[call-overload, no-any-return]

    tokenizer = PieceTokenizer(pieces[0], Scores(pieces[1]))
    assert tokenizer.ids(TEXTS[0]) == tokenizer.ids(TEXTS[0])
