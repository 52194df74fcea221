"""Deterministic embeddings of an honest upstream.

Invariant: the same text at the same model has the same unit vector, any other text another one.
This module does not know faults or sockets.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from turnout.core.vectors import in_encoding
from turnout.testing.answers import tokens_of

_DIMENSIONS = 8


def embedding_answer(body: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The answer to an embeddings request, without its usage, and the tokens it is billed for.

    Raises ValueError, TypeError or KeyError for an invalid request.
    """
    inputs = body["input"]
    is_single = isinstance(inputs, str) or (bool(inputs) and isinstance(inputs[0], int))
    items = [inputs] if is_single else inputs
    size = body.get("dimensions") or _DIMENSIONS
    if size < 0:
        raise ValueError(f"dimensions is {size}; use a number from 1")
    encoding = body.get("encoding_format") or "float"
    data = []
    for index, item in enumerate(items):
        found = {"object": "embedding", "index": index, "embedding": _vector(body, item, size)}
        data.append(in_encoding(found, encoding))
    tokens = sum(len(tokens_of(item)) if isinstance(item, str) else len(item) for item in items)
    return {"object": "list", "data": data, "model": body["model"]}, tokens


def _vector(body: Mapping[str, Any], item: object, size: int) -> list[float]:
    digest = hashlib.shake_256(f"{body['model']}\n{item}".encode("utf-8", "replace")).digest(size)
    numbers = [byte - 127.5 for byte in digest]
    length = math.sqrt(sum(number * number for number in numbers))
    return [number / length for number in numbers]
