"""Results of hosted tools in a conversation, which only the provider that ran them gets back.

Invariant: they count for no window, since other providers do not get them; their provider bills
them, so that a hold covers them. Sources: platform.claude.com/docs (server tools, MCP connector)
and platform.openai.com/docs/guides/tools. This module does not know models.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from turnout.core import Request
from turnout.core.hosted import TRANSLATABLE_ITEMS, is_hosted_block
from turnout.core.lost_fields import objects_in
from turnout.core.readable import readable
from turnout.features.tokens import count_tokens

_WITH_PICTURE = frozenset({"computer_call_output", "image_generation_call"})
_PICTURE_TOKENS = 1_680
_ENCRYPTED_FIELD = "encrypted_content"
# Three bytes stand behind four characters of base64, and more than two behind most tokens.
_ENCRYPTED_CHARACTERS_PER_TOKEN = 3


class HostedResults(NamedTuple):
    """Tokens of the texts by tokenizer, and of pictures and encrypted texts, by their length."""

    text_tokens: Mapping[str, int]
    other_tokens: int

    @property
    def most_tokens(self) -> int:
        """The most tokens that the results usually take."""
        counted = max(self.text_tokens.values())
        # A Claude counts a fifth more than the tokenizer here; the rest is a hold's usual margin.
        return counted + counted * 2 // 5 + self.other_tokens


def hosted_results(request: Request, tokenizers: Collection[str]) -> HostedResults | None:
    """The tokens of results of hosted tools; None if the conversation has none."""
    blocks = _hosted_blocks(request)
    if not blocks:
        return None
    texts = readable(blocks)
    pictures = sum(_type_of(block) in _WITH_PICTURE for block in blocks)
    encrypted = sum(map(len, _encrypted_texts(blocks))) // _ENCRYPTED_CHARACTERS_PER_TOKEN
    text_tokens = {name: count_tokens(texts, name) for name in tokenizers}
    return HostedResults(text_tokens, encrypted + pictures * _PICTURE_TOKENS)


def takes_back(request: Request, family: str) -> bool:
    """Whether a provider of this family is sent the results."""
    return family == ("openai-responses" if request.dialect == "responses" else "anthropic")


def _hosted_blocks(request: Request) -> Sequence[Mapping[str, Any]]:
    native = request.native
    if native is None:
        return ()
    if request.dialect == "responses":
        items = objects_in(native.get("input"))
        return [item for item in items if _type_of(item, "message") not in TRANSLATABLE_ITEMS]
    return [
        block
        for message in objects_in(native.get("messages"))
        for block in objects_in(message.get("content"))
        if is_hosted_block(message, block)
    ]


def _type_of(block: Mapping[str, Any], usual: str = "") -> str:
    """The type as text; callers may write anything there."""
    return str(block.get("type", usual))


def _encrypted_texts(value: object) -> Iterator[str]:
    """The texts that only the provider can read."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == _ENCRYPTED_FIELD and isinstance(inner, str):
                yield inner
            else:
                yield from _encrypted_texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _encrypted_texts(inner)
