"""Embedding vectors in their two wire forms: lists of floats, and base64.

Source: platform.openai.com/docs/api-reference/embeddings (``encoding_format``).
"""

import base64
import binascii
import struct
from collections.abc import Mapping
from typing import Any


def in_encoding(item: Mapping[str, Any], encoding: str) -> dict[str, Any]:
    """An embedding object as ``float`` or ``base64`` (little-endian 32-bit floats).

    Raises ValueError for text that is not base64 of 32-bit floats.
    """
    vector = item["embedding"]
    if encoding == "base64" and isinstance(vector, list):
        vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    elif encoding == "float" and isinstance(vector, str):
        vector = floats_of(vector)
    return {**item, "embedding": vector}


def floats_of(text: str) -> list[float]:
    """The numbers in base64 of little-endian 32-bit floats. Raises ValueError."""
    try:
        data = base64.b64decode(text, validate=True)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    except (binascii.Error, struct.error) as error:
        raise ValueError("an embedding is not base64 of 32-bit floats") from error
