"""Which settings a refusal names, in the words of real providers."""

import json
from typing import Any

import pytest
from msgspec import structs

from turnout.core import Request
from turnout.providers.errors import classify, read_error
from turnout.providers.settings import added, among, as_refused, without


def openai(message: str, param: str | None = None) -> dict[str, object]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": param}}


@pytest.mark.parametrize(
    ("payload", "setting"),
    [
        (
            openai("Unsupported value: 'temperature' does not support 0 with this model.",
                   "temperature"),
            "temperature",
        ),
        (
            openai("Function tools with reasoning_effort are not supported for this model.",
                   "reasoning_effort"),
            "reasoning_effort",
        ),
        # Responses says it inside of another field.
        (openai("Unsupported value: 'minimal' is not supported.", "reasoning.effort"),
         "reasoning_effort"),
        (openai("Your organization must be verified to generate reasoning summaries.",
                "reasoning.summary"), "summary"),
        (openai("Encrypted content is not supported with this model.", "include"), "include"),
        (openai("The summary is not supported"), None),
        ({"type": "error", "error": {"type": "invalid_request_error",
          "message": "`temperature` is deprecated for this model."}}, "temperature"),
        ({"type": "error", "error": {"type": "invalid_request_error",
          "message": "`temperature` and `top_p` cannot both be specified"}}, "temperature"),
        ({"type": "error", "error": {"type": "invalid_request_error", "message":
          '"thinking.type.enabled" is not supported for this model. Use another.'}}, "thinking"),
        ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
          "msg": "Extra inputs are not permitted"}]}, "seed"),
        ({"object": "error", "message": {"detail": [{"type": "extra_forbidden",
          "loc": ["body", "prompt_cache_key"], "msg": "Extra inputs are not permitted"}]},
          "code": None}, "prompt_cache_key"),
        (openai("property 'top_k' is unsupported"), "top_k"),
        # A word of an effort that the model lacks, as SGLang, Groq, xAI and Anthropic say it.
        ({"object": "error", "message": "1 validation error: {'type': 'literal_error', 'loc': "
          "('body', 'reasoning_effort'), 'msg': \"Input should be 'low', 'medium' or 'high'\"}",
          "code": 400, "param": None}, "reasoning_effort"),
        (openai("`reasoning_effort` must be one of `none` or `default`"), "reasoning_effort"),
        ({"code": "400", "error": "Model m does not support parameter reasoningEffort."},
         "reasoning_effort"),
        ({"type": "error", "error": {"type": "invalid_request_error", "message":
          "output_config.effort: Input should be 'low', 'medium', 'high' or 'max'"}},
         "reasoning_effort"),
        # The caller's own mistakes, and what says what is asked.
        (openai("temperature is 3, must be at most 2", "temperature"), None),
        (openai("seed: Input should be less than 9"), None),
        (openai("Invalid value: 'x'. Supported values are: 'function'", "tools[0].type"), None),
        (openai("Unsupported parameter: 'tools'", "tools"), None),
        (openai("Unsupported: tools, with temperature 0", "tools"), None),
        (openai("Unsupported parameter: 'stop'", "stop"), None),
        (openai("Unsupported parameter: 'response_format'"), None),
        (openai("messages.0: unexpected role user"), None),
    ],
)  # fmt: skip
def test_what_a_refusal_names(payload: dict[str, object], setting: str | None) -> None:
    """A field that only tunes is named; all else is left to the caller."""
    body = json.dumps(payload).encode()
    for status in (400, 422):
        fault = classify(status, read_error(body))
        assert fault.kind == "invalid_request"
        assert fault.setting == setting


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_only_refusals_of_the_request_name_one(status: int) -> None:
    """Anything else would be refused without the setting as well."""
    error = read_error(json.dumps(openai("temperature is not supported", "temperature")).encode())
    assert classify(status, error).setting is None


def test_a_setting_is_left_out_in_both_forms() -> None:
    """Effort and thinking are one thing in two dialects."""
    body = {"messages": [], "temperature": 0, "reasoning_effort": "high"}
    native = {"messages": [], "temperature": 0, "thinking": {"type": "adaptive"}}
    request = Request(id="r", body=body, native=native, dialect="messages")
    left = without(request, {"temperature", "thinking"})
    assert left.body == {"messages": []} == left.native
    refused = {as_refused(request, name) for name in ("temperature", "thinking", "seed")}
    assert among(request, refused) == ["temperature", "thinking"]
    assert not among(left, refused)


def test_a_word_that_is_not_known_says_nothing_of_others() -> None:
    """A model without one effort has others; a number stands for all that may be said."""
    asked = [
        Request(id="r", body={"messages": [], "reasoning_effort": effort, "temperature": heat})
        for effort, heat in (("minimal", 0), ("high", 0.5))
    ]
    refused = {as_refused(asked[0], name) for name in ("reasoning_effort", "temperature")}
    assert [among(request, refused) for request in asked] == [
        ["reasoning_effort", "temperature"],
        ["temperature"],
    ]


def test_an_effort_that_a_model_lacks_becomes_the_nearest() -> None:
    """In every form, past others that it was found to lack; without one it is left out."""

    def sent(effort: str, *lacks: str, **more: Any) -> Request:
        request = Request(id="r", body={"messages": [], "reasoning_effort": effort}, **more)
        return without(request, ["reasoning_effort"], {("reasoning_effort", one) for one in lacks})

    assert sent("max", "max").body["reasoning_effort"] == "xhigh"
    assert sent("max", "max", "xhigh").body["reasoning_effort"] == "high"
    assert sent("minimal", "minimal").body["reasoning_effort"] == "low"
    assert sent("max", "max").left_out == frozenset()
    for gone in (sent("max", "max", "xhigh", "high"), sent("none", "none"), sent("odd", "odd")):
        assert gone.body == {"messages": []}
        assert gone.left_out == {"reasoning_effort"}
    for dialect, field in (("messages", "output_config"), ("responses", "reasoning")):
        native = {"input": "Hm?", field: {"effort": "xhigh", "format": 1}}
        low = sent("xhigh", "xhigh", native=native, dialect=dialect)
        assert low.native == {"input": "Hm?", field: {"effort": "high", "format": 1}}


def test_what_a_codec_asks_for_by_itself_is_not_the_callers() -> None:
    """So that it is left out of a model that was named, too; what he wrote himself is not."""
    native = {"input": "Hm?", "include": ["reasoning.encrypted_content"]}
    chat = Request(id="r", body={"messages": []})
    own, bare = (
        structs.replace(chat, dialect="responses", native=body)
        for body in (native, {"input": "Hm?"})
    )
    assert added(chat, "include")
    assert added(chat, "summary")
    assert added(bare, "include")
    assert not added(own, "include")
    assert not added(bare, "summary")
    assert not added(chat, "temperature")
    for request in (chat, bare):
        assert among(request, {("include", None)}) == ["include"]
        assert among(without(request, ["include"]), {("include", None)}) == []
