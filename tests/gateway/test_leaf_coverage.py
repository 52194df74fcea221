"""Every string that a model will read counts for safety, wherever in a request it stands.

A mild unsafe sentence is put into every string of a full body in turn. Each request must be
refused as malformed or blocked, but for settings that no model is shown.
"""

import base64
import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.runtime.world import UNSAFE, config
from turnout import Router
from turnout.core import InvalidRequest, Request
from turnout.gateway.dialects import Chat, Messages, Responses
from turnout.testing import FaultyUpstream

PLACE = {"type": "string", "description": "A place on the map", "enum": ["Lima", "Oslo"]}
PARAMETERS = {"type": "object", "properties": {"place": PLACE}, "required": ["place"]}
SCHEMA = {"type": "object", "properties": {"sum": {"type": "string", "description": "In words"}}}

CHAT: dict[str, Any] = {
    "model": "auto",
    "user": "someone",
    "metadata": {"note": "ours"},
    "stop": ["END"],
    "service_tier": "auto",
    "safety_identifier": "abc",
    "prompt_cache_key": "abc",
    "messages": [
        {"role": "system", "name": "rules", "content": "Answer in one sentence."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "How is the weather there?"},
                {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "low"}},
                {"type": "file", "file": {"filename": "a.txt", "file_id": "file-1"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "text", "text": "And tomorrow?"},
            ],
        },
        {
            "role": "assistant",
            "content": "I look it up.",
            "refusal": "No.",
            "reasoning_content": "A lookup will do.",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"place": "Lima"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": "Sunny"},
        {"role": "user", "content": "Thanks"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "The weather of a place",
                "parameters": PARAMETERS,
            },
        },
        {"type": "custom", "custom": {"name": "grep", "description": "Searches a text"}},
    ],
    "functions": [{"name": "old", "description": "An older one", "parameters": PARAMETERS}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "answer", "description": "What to say", "schema": SCHEMA},
    },
    "prediction": {"type": "content", "content": "It will be sunny"},
    "web_search_options": {"user_location": {"approximate": {"city": "Lima"}}},
    "something_new": {"deep": [["in here"]]},
}
MESSAGES: dict[str, Any] = {
    "model": "auto",
    "max_tokens": 100,
    "metadata": {"user_id": "someone"},
    "stop_sequences": ["END"],
    "service_tier": "auto",
    "system": [{"type": "text", "text": "Answer in one sentence."}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "How is the weather there?"},
                {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}},
                {
                    "type": "document",
                    "title": "notes",
                    "context": "Taken today",
                    "source": {"type": "text", "media_type": "text/plain", "data": "Rain at noon"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "A lookup will do.", "signature": "AAAA"},
                {"type": "text", "text": "I look it up."},
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "weather",
                    "input": {"place": "Lima", "more": {"when": ["today"]}},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Sunny"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "Warm"}],
                },
                {"type": "text", "text": "Thanks"},
            ],
        },
    ],
    "tools": [
        {"name": "weather", "description": "The weather", "input_schema": PARAMETERS},
        {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["h.example"]},
    ],
    "tool_choice": {"type": "tool", "name": "weather"},
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
}
RESPONSES: dict[str, Any] = {
    "model": "auto",
    "instructions": "Answer in one sentence.",
    "user": "someone",
    "metadata": {"note": "ours"},
    "service_tier": "auto",
    "input": [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "How is the weather there?"},
                {"type": "input_image", "image_url": "https://h/a.png", "detail": "low"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Look"}]},
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "weather",
            "arguments": '{"place": "Lima"}',
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "Sunny"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "It is sunny."}],
        },
        {"role": "user", "content": "Thanks"},
    ],
    "tools": [
        {
            "type": "function",
            "name": "weather",
            "description": "The weather",
            "parameters": PARAMETERS,
        }
    ],
    "tool_choice": {"type": "function", "name": "weather"},
    "text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}},
}
BODIES = {"chat": CHAT, "messages": MESSAGES, "responses": RESPONSES}
# What chooses, counts or names the caller; providers show it to no model.
SETTINGS = {
    "user", "metadata", "stop", "stop_sequences", "service_tier", "safety_identifier",
    "prompt_cache_key",
}  # fmt: skip

Path = tuple[str | int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every string in a JSON value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, place))


def with_text_at(body: dict[str, Any], path: Path, text: str) -> dict[str, Any]:
    """A copy of the body with ``text`` at ``path``."""
    changed = copy.deepcopy(body)
    inside: Any = changed
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = text
    return changed


def request_of(dialect: str, body: dict[str, Any]) -> Request:
    """The request as the gateway makes it. Raises InvalidRequest."""
    api = next(api for api in (Chat(), Messages(), Responses()) if api.name == dialect)
    inbound = api.read(body)
    return Request(
        id="r_1",
        body=inbound.body,
        native=inbound.native,
        dialect=api.name,
        model=inbound.model,
    )


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    """The recipe."""
    with FaultyUpstream() as upstream, Router.from_config(config(upstream), environ={}) as r:
        yield r


@pytest.mark.parametrize("dialect", list(BODIES))
def test_the_body_itself_is_harmless(router: Router, dialect: str) -> None:
    """What is blocked below is blocked for the one sentence."""
    assert router.route(request_of(dialect, BODIES[dialect])).blocked is None


@pytest.mark.parametrize("dialect", list(BODIES))
def test_an_unsafe_sentence_is_seen_in_every_leaf(router: Router, dialect: str) -> None:
    """Refused or blocked, whichever string it replaces, but for settings."""
    missed = []
    for path in leaves(BODIES[dialect]):
        if path[0] in SETTINGS:
            continue
        try:
            decision = router.route(
                request_of(dialect, with_text_at(BODIES[dialect], path, UNSAFE))
            )
        except InvalidRequest:
            continue
        if not decision.blocked:
            missed.append(path)
    assert missed == []


@pytest.mark.parametrize("form", ["base64", "plain"])
def test_a_text_file_inside_a_url_is_read(router: Router, form: str) -> None:
    """Bytes of a text type are text; those of an image are not."""
    data = base64.b64encode(UNSAFE.encode()).decode()
    url = f"data:text/plain;base64,{data}" if form == "base64" else f"data:text/plain,{UNSAFE}"
    part = {"type": "file", "file": {"filename": "notes.txt", "file_data": url}}
    ask = {"type": "text", "text": "Summarise this file"}
    body = {"messages": [{"role": "user", "content": [ask, part]}]}
    assert router.route(request_of("chat", body)).blocked
    part["file"] = {"filename": "a.png", "file_data": "data:image/png;base64,AAAA"}
    assert router.route(request_of("chat", body)).blocked is None


ASK = {"type": "text", "text": "What is the capital of Japan?"}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://h/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://h/a.mp4"}},
        {"type": "audio_url", "audio_url": {"url": "https://h/a.mp3"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ],
)
def test_what_is_not_read_can_be_refused(part: dict[str, Any]) -> None:
    """Without text or beside it, it passes unless the configuration refuses what nobody reads."""
    with FaultyUpstream() as upstream:
        for unread, blocked in (("pass", False), ("block", True)):
            settings = config(upstream, safety={"unread": unread})
            with Router.from_config(settings, environ={}) as r:
                for content in ([part], [ASK, part]):
                    decision = r.route([{"role": "user", "content": content}])
                    assert bool(decision.blocked) == blocked, content
                assert r.route([{"role": "user", "content": [ASK]}]).blocked is None


def test_a_request_without_text_and_without_a_score_is_blocked() -> None:
    """Only pictures, sound, video and files are known to hold nothing to read."""
    with FaultyUpstream() as upstream, Router.from_config(config(upstream), environ={}) as r:
        odd = {"type": "hologram", "hologram": {"url": "https://h/a"}}
        assert r.route([{"role": "user", "content": [odd]}]).blocked
