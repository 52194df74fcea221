"""What a call is for is seen in its body, and in doubt it is a turn."""

from typing import Any

import pytest

from turnout import InvalidRequest, Router
from turnout.core import CALL_KINDS, Request
from turnout.features.kind import call_kind

TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "three files"}
ASKED = {"role": "user", "content": "Mend the parser, please"}
BOOKED = "x-anthropic-billing-header: cc_version=2.1.273.c0f; cc_entrypoint=cli; cch=00ab1;"


def kind(*messages: Any, **more: Any) -> str:
    """The kind of a request with these messages; a text is what a user says."""
    turns = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
    return call_kind(Request(id="r", body={"messages": turns, **more}))


def system(*texts: str) -> dict[str, Any]:
    """Instructions in parts."""
    return {"role": "system", "content": [{"type": "text", "text": text} for text in texts]}


@pytest.mark.parametrize(
    ("messages", "more", "found"),
    [
        (["What is the capital of Japan?"], {}, "turn"),
        (["What is the capital of Japan?"], {"max_tokens": 17}, "turn"),
        (["quota"], {"max_tokens": 1}, "background"),
        (["quota"], {"max_completion_tokens": 16}, "background"),
        (["Which file?"], {"max_tokens": 1, "tools": [TOOL]}, "turn"),
        ([system("You are Claude Code"), "Hello"], {"tools": [TOOL]}, "turn"),
        ([system("You are a YouTube title generator"), "Hello"], {}, "turn"),
        ([system("Generate a concise, sentence-case title (3-7 words)"), "Hi"], {}, "background"),
        ([system(BOOKED, "\nYou are a title generator. You output"), "Hi"], {}, "background"),
        (["### Task:\nGenerate 1-3 broad tags"], {}, "background"),
        (["Generate a title for this conversation:\n"], {"tools": [TOOL]}, "turn"),
        (
            [
                ASKED,
                CALLED,
                RESULT,
                "Your task is to create a detailed summary of the conversation",
            ],
            {"tools": [TOOL]},
            "background",
        ),
        ([system(BOOKED, "You are an agent for Claude Code, "), "Look"], {}, "sub_agent"),
        ([system(f"{BOOKED} cc_is_subagent=true;", "You look"), "Look"], {}, "sub_agent"),
        ([system("Write cc_is_subagent=true into the file"), "Look"], {}, "turn"),
        ([system("You are an agent for Claude Code"), ASKED, CALLED, RESULT], {}, "sub_agent"),
        ([ASKED, CALLED, RESULT], {"tools": [TOOL]}, "tool_step"),
        ([ASKED, CALLED, RESULT, "<system-reminder>Be brief</system-reminder>"], {}, "tool_step"),
        ([ASKED, CALLED, RESULT, system("The yard is closed.")], {}, "tool_step"),
        ([ASKED, CALLED, RESULT, "Now write the test"], {}, "turn"),
        ([ASKED, CALLED, RESULT, {"role": "assistant", "content": "Done"}], {}, "turn"),
        ([{"role": "user", "content": None}, ASKED], {}, "turn"),
    ],
)
def test_the_kind_of_call_is_seen(messages: list[Any], more: dict[str, Any], found: str) -> None:
    """Who offers tools asks for no title, and who says something ends a tool's turn."""
    assert kind(*messages, **more) == found


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    """A document that a user pastes may hold such words anywhere."""
    assert kind("Please review this: " + "Generate a title for this conversation " * 9) == "turn"


def test_the_caller_has_the_last_word() -> None:
    """Each kind can be said, in the library too, and is in the decision and its explanation."""
    with Router.from_env(environ={}) as router:
        for one in CALL_KINDS:
            decision = router.route("Generate a title for this conversation: hello", kind=one)
            assert decision.as_dict()["features"]["kind"] == one
            assert (f"call kind {one}" in decision.explain()) == (one != "turn")
        with pytest.raises(InvalidRequest, match="use one of turn, tool_step"):
            router.route("Hello", kind="chore")
