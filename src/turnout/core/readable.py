"""Which strings of a request a model will read: in the messages, and in the fields beside them.

Invariant: a string is left out only when its name says that it is an id, a type, an address or
bytes, and only if it holds no white space; strings with unknown names are read.
This module does not know what the strings are read for.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from turnout.core.data_urls import text_of_data_url
from turnout.core.request import Message, Request

# Names of strings that are not text, wherever they stand.
_NOT_TEXT = frozenset({
    "role", "type", "id", "call_id", "tool_call_id", "tool_use_id", "detail", "media_type",
    "format", "signature", "reasoning_signature", "encrypted_content", "index", "status", "ttl",
})  # fmt: skip
# Names of strings that are bytes, or the address of bytes.
_BYTES = frozenset({
    "url", "image_url", "data", "file_data", "file_id", "file_url", "b64_json", "partial_image_b64",
})  # fmt: skip
# Fields of a body that are settings, which no model is shown.
_SETTINGS = frozenset({
    "model", "stream", "stream_options", "temperature", "top_p", "top_k", "n", "stop",
    "stop_sequences", "max_tokens", "max_completion_tokens", "max_output_tokens", "seed", "user",
    "metadata", "service_tier", "logit_bias", "logprobs", "top_logprobs", "presence_penalty",
    "frequency_penalty", "parallel_tool_calls", "reasoning_effort", "safety_identifier", "store",
    "prompt_cache_key", "prompt_cache_retention", "modalities", "verbosity", "include",
    "truncation", "betas", "thinking", "context_management", "cache_control",
})  # fmt: skip
_ALL_SETTINGS = _SETTINGS | {"messages"}


def readable_messages(request: Request) -> Sequence[Message]:
    """The request's messages, after one more with what the model reads beside them, if anything.

    That is tools with their names and descriptions, schemas, and, where the body was translated
    from another dialect, whatever the translation lost.
    """
    messages = request.messages
    if request.native is None and request.body.keys() <= _ALL_SETTINGS:
        return messages
    texts = [text for field in _other_fields(request.body) for text in _definition_texts(field)]
    if request.native is not None:
        known = {*texts, *(text for message in messages for text in readable(message))}
        native_fields = _other_fields({**request.native, "messages": None})
        candidates = [
            text
            for field in (*native_fields, request.native.get("messages"))
            for text in readable(field)
        ]
        texts += [text for text in dict.fromkeys(candidates) if text not in known]
    if not texts:
        return messages
    parts = [{"type": "text", "text": text} for text in texts]
    return [{"role": "tool", "content": parts}, *messages]


def readable(value: object) -> list[str]:
    """Every text in a JSON value, in document order, and every key that holds white space."""
    return list(_texts_in(value, ""))


def _other_fields(body: Mapping[str, Any]) -> Iterator[object]:
    for name, value in body.items():
        if name in _ALL_SETTINGS:
            continue
        # Each tool by itself: one that is unsafe must not drown among the others.
        yield from value if isinstance(value, list | tuple) else (value,)


def _definition_texts(value: object) -> list[str]:
    """The texts of a definition: sentences one by one, and all single words as one text."""
    texts = readable(value)
    words = [text for text in texts if not _has_white_space(text)]
    return [
        *(text for text in texts if _has_white_space(text)),
        *([" ".join(words)] if words else []),
    ]


def _texts_in(value: object, name: str) -> Iterator[str]:
    """Depth first, without recursion: a body may be nested as deep as its size allows."""
    pending: list[tuple[object, str]] = [(value, name)]
    while pending:
        item, name = pending.pop()
        if isinstance(item, str):
            yield from _texts_of_string(item, name)
        elif isinstance(item, Mapping):
            for key, inner in reversed(list(item.items())):
                pending.append((inner, key))
                if isinstance(key, str) and _has_white_space(key):
                    pending.append((key, ""))
        elif isinstance(item, list | tuple):
            pending.extend((inner, name) for inner in reversed(item))


def _texts_of_string(text: str, name: str) -> Iterator[str]:
    inside = text_of_data_url(text) if name in _BYTES else None
    if inside is not None:
        yield inside
    elif text.strip() and (
        _has_white_space(text) or (name not in _NOT_TEXT and name not in _BYTES)
    ):
        yield text


def _has_white_space(text: str) -> bool:
    return len(text.split(None, 1)) > 1
