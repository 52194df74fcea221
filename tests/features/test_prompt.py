"""What of a row or a conversation predicts success."""

import pytest

from turnout.features.prompt import row_text

ASKED = {"role": "user", "content": "Add 2 and 3."}
ANSWER = {"role": "assistant", "content": "5"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "5"}


@pytest.mark.parametrize("part", [PICTURE, RESULT, {"type": "text", "text": " "}])
def test_the_last_words_count_where_a_turn_has_none(part: dict[str, object]) -> None:
    """A picture or a tool's result behind the question makes no empty prompt of it."""
    messages = [ASKED, ANSWER, {"role": "user", "content": [part]}]
    assert row_text({"messages": messages}).text == "Add 2 and 3."


def test_messages_may_be_the_prompt() -> None:
    """As data sets of chats have them; a list of anything else is read as it is written."""
    assert row_text({"prompt": [ASKED, ANSWER]}) == row_text({"messages": [ASKED, ANSWER]})
    assert row_text({"prompt": ["a", 1]}).text == '["a", 1]'


def test_without_a_users_words_everything_counts() -> None:
    """Whoever said it."""
    assert row_text({"messages": [{"role": "system", "content": "Add."}, ANSWER]}).text == (
        "Add.\n5"
    )
