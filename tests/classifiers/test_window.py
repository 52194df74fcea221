"""What of a conversation is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.classifiers.window import chunks, clipped, sentences, window


def test_safety_reads_every_string_the_model_reads() -> None:
    """System, parts, names, tool arguments and tool results are all in the segments."""
    read = window(
        [
            {"role": "system", "content": "alpha"},
            {"role": "user", "name": "bravo", "content": [{"type": "text", "text": "charlie"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": "delta", "arguments": '{"q": "echo"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "1", "content": "foxtrot"},
        ]
    )
    seen = " ".join(read.segments)
    assert all(word in seen for word in ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot"))


def test_intent_reads_the_users_turns_only() -> None:
    """A large system prompt is no turn; a context is what was said since the turn before."""
    read = window(
        [
            {"role": "system", "content": "rules " * 500},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "three"},
        ]
    )
    assert read.turns == ("one", "three")
    assert read.contexts == ("one\ntwo",)
    assert "one\nthree" in read.segments


def test_images_are_not_text() -> None:
    """A picture's bytes are no words to judge."""
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert window([{"role": "user", "content": [part]}]).segments == ()


def test_chunks_lose_nothing_and_clips_keep_both_ends() -> None:
    """Every character is in one chunk; a clip has the first and the last words."""
    text = "start " + "middle " * 1000 + "end"
    assert "".join(chunks(text)) == text
    assert clipped(text).startswith("start")
    assert clipped(text).endswith("end")


def test_sentences_end_where_they_do() -> None:
    """Short ones are joined, long ones cut, and nothing but blanks is lost."""
    one = "The train to the coast leaves at nine. "
    assert sentences(one * 3) == [one] * 3
    assert sentences("No. " * 9 + one) == ["No. " * 8, "No. " + one]
    assert "".join(sentences("word " * 1000 + one)) == "word " * 1000 + one
    assert max(map(len, sentences("word " * 1000))) <= 160
    assert max(map(len, chunks(one * 100))) <= 600
    assert all(chunk.endswith("nine. ") for chunk in chunks(one * 100))


def test_a_hundred_thousand_signs_are_cut_in_linear_time() -> None:
    """Signs that could all end a sentence are one pass, and so are blanks."""
    for unit in (".", " ", "\n", "。", ".)", " \t"):
        text = unit * (100_000 // len(unit)) + "x"
        assert "".join(sentences(text)).endswith("x")


def test_instructions_are_what_only_the_application_says_before_the_conversation() -> None:
    """A text that somebody else repeats is not one, nor is a late one or a tool's."""
    said = [("tool", "a"), ("system", "b"), ("developer", "c"), ("user", "c"), ("system", "d")]
    read = window([{"role": role, "content": text} for role, text in said])
    assert read.instructions == {"b"}
    assert set(read.segments) == {"a", "b", "c", "d"}


@given(
    text=st.text(st.sampled_from(list("a.!\"' \n\t。؟")) | st.characters(), max_size=300),
    span=st.integers(1, 40),
    repeat=st.integers(1, 20),
)
def test_the_span_of_a_search_does_not_change_the_sentences(
    text: str, span: int, repeat: int
) -> None:
    """Sentences and stretches end where they end in one search over the whole text."""
    text *= repeat
    whole = chunks(text), sentences(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("turnout.classifiers.window._SPAN", span)
        assert (chunks(text), sentences(text)) == whole
