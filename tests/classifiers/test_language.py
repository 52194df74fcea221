"""A text's language by its commonest words."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.classifiers import language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the capital of Japan?", "en"),
        ("As was the case", "en"),  # the second word is German as well, the first Portuguese
        ("Was ist das?", "de"),
        ("¿Qué es esto?", "es"),
        ("xyzzy 42", ""),
        ("", ""),
    ],
)
def test_the_commonest_words_name_the_language(text: str, expected: str) -> None:
    """Without any of them there is no hint."""
    assert language.language_of(text) == expected


@given(st.data())
def test_each_word_has_one_vote_which_its_languages_share(data: st.DataObject) -> None:
    """Of languages with as many votes the first counts, also where only English has votes."""
    words_of = {name: words.split() for name, words in language._COMMON.items()}
    pools = [sorted({w for words in words_of.values() for w in words}), [*words_of["en"], "as"]]
    pool = data.draw(st.sampled_from([*pools, ["table", *words_of["en"]]]))
    words = data.draw(st.lists(st.sampled_from(pool), max_size=30))
    votes: Counter[str] = Counter()
    for word in words:
        names = [name for name, common in words_of.items() if word in common]
        votes.update({name: Fraction(1, len(names)) for name in names})
    best = max(words_of, key=votes.__getitem__) if votes else ""
    assert language.language_of(" ".join(words)) == best
