"""How alike answer options are: the words that they share, and nothing else."""

import pytest

from turnout.features.likeness import NAMES, likeness

QUESTION = "Which wire carries the current home?\n"


def test_options_of_the_same_words_are_alike() -> None:
    """Options that say the same in another order share all words, those of other words none."""
    same = QUESTION + "A. red wire loop\nB. loop red wire\nC. wire, red; loop"
    other = QUESTION + "A. copper\nB. rubber\nC. glass"
    mean, most, asked = likeness(same)
    assert mean == most == pytest.approx(3 / 4)
    assert asked == pytest.approx(1 / 4)
    assert likeness(other) == [0, 0, 0]


def test_the_most_alike_two_stand_out_from_the_mean() -> None:
    """Of three options two are near."""
    mean, most, _ = likeness(QUESTION + "A. the blue wire\nB. the blue wire\nC. nothing")
    assert most == pytest.approx(3 / 4)
    assert mean == pytest.approx(most / 3)


def test_the_order_of_the_options_says_nothing() -> None:
    """The same options in another order have the same marks."""
    listed = ["red wire", "blue wire", "no wire at all"]
    there, back = (
        likeness(
            QUESTION + "\n".join(f"{letter}. {o}" for letter, o in zip("ABC", order, strict=True))
        )
        for order in (listed, listed[::-1])
    )
    assert there == pytest.approx(back)


@pytest.mark.parametrize(
    "text",
    ["", "A. only one option", "No options.", "A. 1\nB. 2\nC. 3", "A.\nB.\n", "A. \x00\nB. \ud800"],
)
def test_a_text_without_words_in_two_options_has_zeros(text: str) -> None:
    """No text makes it fail, and no word is no likeness."""
    assert likeness(text) == [0.0] * len(NAMES)


def test_many_options_take_no_longer_than_ten() -> None:
    """What stands after the tenth is not compared."""
    ten = "\n".join(f"{letter}. word{letter.lower()} common" for letter in "ABCDEFGHIJ")
    assert likeness(ten) == likeness(ten + "\nA. common common" * 300)
