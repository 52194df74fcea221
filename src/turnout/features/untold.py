"""What a conversation holds of tools that ran at its provider, which goes back there alone.

Invariant: it counts for no window, since other providers are not told of it; where it goes it is
billed, so that it is held. Sources: platform.claude.com/docs (server tools, MCP connector) and
platform.openai.com/docs/guides/tools. This module does not know models.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from turnout.core import Request
from turnout.core.hosted import TOLD, ran_there
from turnout.core.readable import readable
from turnout.core.unsaid import objects_in
from turnout.features.tokens import count

_PICTURED = frozenset({"computer_call_output", "image_generation_call"})
_PICTURE_TOKENS = 1_680
_SEALED = "encrypted_content"
# Three bytes stand behind four characters of base64, and more than two behind most tokens.
_SEALED_CHARACTERS_PER_TOKEN = 3


class Untold(NamedTuple):
    """Tokens of its texts by tokenizer, and of what is no text; sealed pages by their length."""

    texts: Mapping[str, int]
    others: int

    @property
    def most(self) -> int:
        """The most that it usually takes."""
        counted = max(self.texts.values())
        # As a Claude counts, a fifth more than the tokenizer at hand, with a hold's usual margin.
        return counted + counted * 2 // 5 + self.others


def untold(request: Request, tokenizers: Collection[str]) -> Untold | None:
    """What there is of it, if anything."""
    blocks = _untold(request)
    if not blocks:
        return None
    texts = readable(blocks)
    pictures = sum(_kind(block) in _PICTURED for block in blocks)
    sealed = sum(map(len, _sealed(blocks))) // _SEALED_CHARACTERS_PER_TOKEN
    counted = {name: count(texts, name) for name in tokenizers}
    return Untold(counted, sealed + pictures * _PICTURE_TOKENS)


def goes_back(request: Request, family: str) -> bool:
    """Whether a provider of this family is told of it."""
    return family == ("openai-responses" if request.dialect == "responses" else "anthropic")


def _untold(request: Request) -> Sequence[Mapping[str, Any]]:
    native = request.native
    if native is None:
        return ()
    if request.dialect == "responses":
        items = objects_in(native.get("input"))
        return [item for item in items if _kind(item, "message") not in TOLD]
    return [
        block
        for message in objects_in(native.get("messages"))
        for block in objects_in(message.get("content"))
        if ran_there(message, block)
    ]


def _kind(block: Mapping[str, Any], usual: str = "") -> str:
    """What it calls itself; callers may write anything there."""
    return str(block.get("type", usual))


def _sealed(value: object) -> Iterator[str]:
    """The texts that only the provider can read."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == _SEALED and isinstance(inner, str):
                yield inner
            else:
                yield from _sealed(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _sealed(inner)
