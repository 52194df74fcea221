"""A request body is checked once, with errors that name the field."""

from typing import Any

import pytest

from turnout.core import InvalidRequest, check_body, strings, text_of


def user(content: Any, **more: Any) -> dict[str, Any]:
    """A body with one user message."""
    return {"messages": [{"role": "user", "content": content}], **more}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        (user(7), "messages[0].content"),
        (user(["hi"]), "messages[0].content"),
        (user("   "), "messages"),
        (user([{"type": "text", "text": ""}]), "messages"),
        (user("a\ud800b"), "messages[0]"),
        (user("hi", max_tokens=0), "max_tokens"),
        (user("hi", max_tokens=10**30), "max_tokens"),
        (user("hi", max_completion_tokens=True), "max_completion_tokens"),
        (user("hi", tools={}), "tools"),
        (user("hi", response_format="json"), "response_format"),
    ],
)
def test_a_bad_body_names_its_field(body: Any, field: str) -> None:
    """Each malformed body is refused with the field at fault."""
    with pytest.raises(InvalidRequest) as caught:
        check_body(body)
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


def test_a_good_body_is_returned_untouched() -> None:
    """Unknown fields and parts stay as they are."""
    body = user([{"type": "image_url", "image_url": {"url": "data:,"}}], novelty={"deep": [1]})
    assert check_body(body) is body


def test_every_string_is_found_in_order() -> None:
    """Strings at any depth are found, in document order."""
    assert strings({"a": ["x", {"b": "y"}], "c": "z", "d": 3}) == ["x", "y", "z"]


def test_the_text_of_parts_is_joined() -> None:
    """Only text parts are text."""
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert text_of({"role": "user", "content": parts}) == "a\nb"
