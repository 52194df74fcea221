"""Facts about a request, taken from its body.

Invariant: pure and total for every checked body; facts only, no opinions.
This module does not know models, prices or providers.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from turnout.core import Features, Message, Request, strings
from turnout.core.hosted import SOUND, has_paid_by_call, hosted, most_searches
from turnout.core.unlisted import unlisted
from turnout.features.files import estimate_all, text_of_file
from turnout.features.hosted_results import hosted_results
from turnout.features.kind import call_kind
from turnout.features.tokens import TOKENS_PER_MESSAGE, count_tokens

# The expected length of an answer, in tokens: about the median in public chat logs.
EXPECTED_OUTPUT_TOKENS = 400

_TEXT = frozenset({"text"})
# How a part of a prompt says that it is to be cached for an hour.
_HOUR_TTL = "1h"
# The cache mark of a part: Anthropic's ``cache_control``, which OpenRouter takes, too.
EPHEMERAL = "ephemeral"
_MODALITY_OF_PART = {
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "video_url": "video",
    "input_video": "video",
    "file": "file",
    "input_file": "file",
}
# The tokens of a picture: with the correction for Claude this is the most that a Claude takes, and
# about what others take.
IMAGE_TOKENS, SMALL_IMAGE_TOKENS = 1_400, 85


def extract(
    request: Request, tokenizers: Collection[str], texts: Sequence[str] | None = None
) -> Features:
    """The request's features, its prompt counted by each of ``tokenizers``.

    ``texts`` are the request's ``prompt_texts``, if the caller has them already.
    """
    messages, tools, cap = request.messages, request.tools, request.max_output_tokens
    texts = prompt_texts(request) if texts is None else texts
    turns = answers = 0
    multipart = []
    for message in messages:
        turns += message["role"] == "user"
        answers += message["role"] == "assistant"
        if not isinstance(message.get("content"), str):
            multipart.append(message)
    parts = multipart and [part for message in multipart for part in message.get("content") or ()]
    files = estimate_all(parts)
    overhead = TOKENS_PER_MESSAGE * len(messages) + files.expected
    if parts:
        overhead += sum(map(_image_tokens, parts))
    responses_body = (request.dialect == "responses" and request.native) or {}
    offering_body = responses_body or (request.body if tools else {})
    marked_texts = request.native or (multipart and messages)
    all_strings = strings(marked_texts) if marked_texts else ()
    results = hosted_results(request, tokenizers) if request.native else None
    extra = (
        files.extra if results is None or files.extra is None else files.extra + results.most_tokens
    )
    input_tokens = {}
    for name in tokenizers:
        input_tokens[name] = overhead + count_tokens(texts, name)
    return Features(
        input_tokens=input_tokens,
        output_tokens=min(cap, EXPECTED_OUTPUT_TOKENS) if cap else EXPECTED_OUTPUT_TOKENS,
        turns=turns,
        characters=sum(map(len, texts)),
        modalities=_modalities(parts) if parts else _TEXT,
        needs_tools=bool(tools or request.body.get("functions")),
        needs_json=request.wants_json,
        hour_cache=_HOUR_TTL in all_strings,
        hosted=hosted(responses_body) if responses_body else (),
        paid_by_call=bool(offering_body) and has_paid_by_call(offering_body),
        kind=call_kind(request),
        uncounted=extra,
        marked=EPHEMERAL in all_strings,
        answers=answers,
        # OpenAI's tools are called alike, and have no price by the piece here.
        searches=most_searches(tools) if tools and request.dialect != "responses" else 0,
        wants_audio=SOUND in (request.body.get("modalities") or ()),
        unlisted=unlisted(request),
    )


def prompt_texts(request: Request) -> list[str]:
    """Every text whose tokens count: of the messages, and of the tools with their keys."""
    texts: list[str] = []
    for message in request.messages:
        for field, value in message.items():
            if field == "role":
                continue
            if isinstance(value, str):
                texts.append(value)
            elif field == "content":
                texts += [text for part in value or () for text in _part_texts(part)]
            else:
                texts += strings(value)
    for tool in request.tools:
        texts += strings(tool)
        texts += _keys(tool)
    return texts


def _part_texts(part: Message) -> list[str]:
    # The bytes of an image or a file are not text, unless the file is one.
    if part.get("type") in _MODALITY_OF_PART:
        text = text_of_file(part)
        return [text] if text else []
    return strings(part)


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def _image_tokens(part: Message) -> int:
    """The tokens of a picture, 0 for any other part."""
    if _MODALITY_OF_PART.get(part.get("type", "")) != "image":
        return 0
    image = part.get("image_url")
    low = isinstance(image, Mapping) and image.get("detail") == "low"
    return SMALL_IMAGE_TOKENS if low else IMAGE_TOKENS


def _modalities(parts: Sequence[Message]) -> frozenset[str]:
    types = [part.get("type", "") for part in parts]
    return _TEXT.union([_MODALITY_OF_PART[kind] for kind in types if kind in _MODALITY_OF_PART])
