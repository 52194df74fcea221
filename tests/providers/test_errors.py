"""Error answers of providers as faults, each shape with the public document it is from."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.core import Fault
from turnout.providers import OpenAIChatCodec

CODEC = OpenAIChatCodec()


def fault(status: int, body: object, **headers: str) -> Fault:
    """The fault of an error answer with this JSON body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CODEC.classify_error(status, named, json.dumps(body).encode())


def openai(message: str, kind: str = "", code: object = None) -> dict[str, object]:
    """An error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


DOCUMENTED = [
    (
        "OpenAI, platform.openai.com/docs/guides/error-codes",
        401,
        openai("Incorrect API key provided", "invalid_request_error", "invalid_api_key"),
        ("unauthorized", "no", "provider"),
    ),
    (
        "OpenAI: no quota is not a rate limit",
        429,
        openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"),
        ("no_credit", "no", "provider"),
    ),
    (
        "OpenAI: rate limit",
        429,
        openai("Rate limit reached for gpt-4o", "tokens", "rate_limit_exceeded"),
        ("rate_limited", "rate_limit", "deployment"),
    ),
    (
        "OpenAI: context length",
        400,
        openai("too long", "invalid_request_error", "context_length_exceeded"),
        ("context_length_exceeded", "no", "deployment"),
    ),
    (
        "OpenAI: unknown model",
        404,
        openai("The model `x` does not exist", "invalid_request_error", "model_not_found"),
        ("not_found", "no", "deployment"),
    ),
    (
        "OpenAI: a project without access to the model",
        403,
        openai("Project has no access to model x", "invalid_request_error", "model_not_found"),
        ("not_found", "no", "deployment"),
    ),
    (
        "OpenAI: bad parameter",
        400,
        openai("Invalid value for temperature", "invalid_request_error", "invalid_value"),
        ("invalid_request", "no", "request"),
    ),
    (
        "OpenAI: overloaded",
        503,
        openai("The engine is currently overloaded, please try again later", "server_error"),
        ("unavailable", "transient", "deployment"),
    ),
    (
        "Azure, learn.microsoft.com/azure/ai-services/openai/concepts/content-filter",
        400,
        openai("The response was filtered", "", "content_filter"),
        ("content_filtered", "no", "request"),
    ),
    (
        "Anthropic, docs.anthropic.com/en/api/errors: overloaded is the provider's state",
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ("unavailable", "transient", "provider"),
    ),
    (
        "Anthropic: credit",
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the API.",
            },
        },
        ("no_credit", "no", "provider"),
    ),
    (
        "Anthropic: spend limit, never retried",
        429,
        {"error": {"type": "billing_error", "message": "enforced_spend_limit_reached"}},
        ("spend_limit", "no", "provider"),
    ),
    (
        "DeepSeek, api-docs.deepseek.com/quick_start/error_codes",
        402,
        openai("Insufficient Balance", "unknown_error", "invalid_request_error"),
        ("no_credit", "no", "provider"),
    ),
    (
        "Runcrate, runcrate.ai/docs/api-reference/introduction",
        401,
        openai("Invalid API key", "invalid_request_error", "invalid_api_key"),
        ("unauthorized", "no", "provider"),
    ),
    (
        "Runcrate's SDK, InsufficientCredits, flat shape",
        402,
        {"message": "Insufficient credits", "code": "INSUFFICIENT_CREDITS"},
        ("no_credit", "no", "provider"),
    ),
    (
        "vLLM, docs.vllm.ai: context length in words only",
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens.",
            "type": "BadRequestError",
            "code": 400,
        },
        ("context_length_exceeded", "no", "deployment"),
    ),
    (
        "llama.cpp, github.com/ggml-org/llama.cpp/tree/master/tools/server",
        400,
        {"error": {"code": 400, "message": "too large", "type": "exceed_context_size_error"}},
        ("context_length_exceeded", "no", "deployment"),
    ),
    (
        "Groq, console.groq.com/docs/errors: 413",
        413,
        openai("Request too large for model", "tokens", "rate_limit_exceeded"),
        ("context_length_exceeded", "no", "deployment"),
    ),
    (
        "FastAPI, fastapi.tiangolo.com/tutorial/handling-errors",
        422,
        {"detail": [{"loc": ["body", "messages"], "msg": "field required", "input": "x"}]},
        ("invalid_request", "no", "request"),
    ),
    (
        "OpenRouter, openrouter.ai/docs/api-reference/errors: moderation is 403",
        403,
        openai("Your chosen model requires moderation and your input was flagged"),
        ("content_filtered", "no", "request"),
    ),
    ("a plain text in error", 500, {"error": "boom"}, ("unavailable", "transient", "deployment")),
]


@pytest.mark.parametrize(
    ("document", "status", "body", "meant"), DOCUMENTED, ids=[case[0] for case in DOCUMENTED]
)
def test_documented_errors_mean_what_they_say(
    document: str, status: int, body: object, meant: tuple[str, str, str]
) -> None:
    """Kind, retry and scope of each provider's own error."""
    found = fault(status, body)
    assert (found.kind, found.retry, found.scope) == meant, document
    assert found.status == status


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 520, 529, 599])
def test_passing_statuses_are_transient(status: int) -> None:
    """Another try may help, after the wait the provider names."""
    found = fault(status, {}, retry_after="7")
    assert (found.kind, found.retry, found.retry_after_s) == ("unavailable", "transient", 7.0)
    assert found.blame == "provider"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"error": {"message": "one"}}, "one"),
        ({"error": "two"}, "two"),
        ({"message": "three", "code": "x"}, "three"),
        ({"detail": "four"}, "four"),
        ({"detail": [{"msg": "five"}, {"msg": "six"}]}, "five; six"),
        ({"error": {"code": "seven"}}, "seven"),
        ({"something": "else"}, '{"something": "else"}'),
        ({}, "{}"),
    ],
)
def test_the_message_is_found_in_all_shapes(body: object, says: str) -> None:
    """Four shapes of error bodies, and an excerpt of what is none of them."""
    assert fault(400, body).detail == f"HTTP 400: {says}"


def test_pages_and_empty_bodies_have_a_detail_too() -> None:
    """A proxy's HTML page is named as such; no body at all is said to be none."""
    assert CODEC.classify_error(502, {}, b" <html>x").detail == "HTTP 502: an HTML page"
    assert CODEC.classify_error(502, {}, b"").detail == "HTTP 502: no reason given"
    assert CODEC.classify_error(500, {}, b"\xff\xfe").detail.startswith("HTTP 500:")


def test_a_rate_limit_worded_as_a_quota_keeps_its_wait() -> None:
    """Gemini calls a passing limit a quota (ai.google.dev/gemini-api/docs/rate-limits)."""
    found = fault(429, openai("You exceeded your current quota"), retry_after="12")
    assert (found.kind, found.retry, found.retry_after_s) == ("rate_limited", "rate_limit", 12.0)


@pytest.mark.parametrize("quote", ["'{}'", '"{}"', "`{}`"])
def test_quoted_text_of_the_caller_cannot_take_a_provider_out(quote: str) -> None:
    """A provider that repeats what the caller sent is not out of credit because of it."""
    echoed = quote.format("insufficient credits, context length exceeded")
    found = fault(400, openai(f"Invalid value {echoed} for response_format"))
    assert (found.kind, found.scope) == ("invalid_request", "request")


def test_words_of_credit_count_on_any_status() -> None:
    """Credit that ran out takes the provider out even behind a 500."""
    assert fault(500, openai("Insufficient balance")).kind == "no_credit"


def test_the_key_is_not_repeated() -> None:
    """A provider that echoes the key or a header does not get it into the fault."""
    codec = OpenAIChatCodec(secrets=frozenset({"canary-without-a-shape", "sk-other-123456"}))
    body = json.dumps(openai("bad key canary-without-a-shape and Bearer sk-other-123456")).encode()
    detail = codec.classify_error(401, {}, body).detail
    assert "canary" not in detail
    assert "sk-other" not in detail


def test_a_redirect_names_the_fix() -> None:
    """A 3xx status points at base_url."""
    found = fault(301, {})
    assert found.kind == "bad_response"
    assert "base_url" in found.detail


@given(status=st.integers(100, 999), body=st.binary(max_size=200))
def test_every_status_and_body_gives_one_fault(status: int, body: bytes) -> None:
    """Nothing an upstream sends raises; the detail is one line."""
    found = CODEC.classify_error(status, {}, body)
    assert found.detail
    assert "\n" not in found.detail


@given(
    body=st.recursive(
        st.sampled_from([None, True, 1, -2.5, "", "x"]),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["error", "message", "code", "detail", "type", "msg", "choices"]),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=8,
    )
)
def test_every_json_value_gives_one_fault(body: object) -> None:
    """Odd JSON in an error's place is read without an error, in error answers and in good ones."""
    assert fault(500, body).detail
    found = CODEC.decode(json.dumps(body).encode())
    assert isinstance(found, Fault) or found.deltas


@pytest.mark.parametrize(
    ("message", "scope"),
    [
        ("This model does not support assistant message prefill.", "deployment"),
        ("registry/gemma:latest does not support tools", "deployment"),
        ("Unexpected role 'user' after role 'tool'", "deployment"),
        ("User messages should alternate with assistant messages.", "deployment"),
        ("`tool calling` is not supported with this model", "deployment"),
        ("The `reasoning_content` in the thinking mode must be passed back.", "deployment"),
        ("Function call is missing a thought_signature in functionCall parts.", "deployment"),
        ("messages.1.content.0: Invalid `signature` in `thinking` block", "deployment"),
        ("Expected `thinking` or `redacted_thinking`, but found `tool_use`", "deployment"),
        ("temperature is 3, must be at most 2", "request"),
        ("Invalid value 'does not support tools' for name", "request"),
        ("messages: at least one message is required", "request"),
    ],
)  # fmt: skip
def test_what_one_model_cannot_do_another_may(message: str, scope: str) -> None:
    """A refusal of the model ends its route; a refusal of the request ends the request."""
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
    fault = CODEC.classify_error(400, {}, body)
    assert (fault.kind, fault.scope, fault.blame) == ("invalid_request", scope, "client")
