"""What is inside data URLs. Source: RFC 2397."""

import base64
import binascii
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

_SCHEME = "data:"
_TEXTS = ("text/", "application/json", "application/xml")


class _Head(NamedTuple):
    """The media type in lower case, whether the data is in base64, and where the data begins."""

    media_type: str
    in_base64: bool
    data_at: int


def text_of_data_url(url: str) -> str | None:
    """The text of a data URL whose media type is text; None for others and for broken ones.

    Bytes that are not UTF-8 become replacement characters.
    """
    head = _head_of(url)
    if head is None or not head.media_type.startswith(_TEXTS):
        return None
    data = url[head.data_at :]
    try:
        raw = base64.b64decode(data) if head.in_base64 else unquote_to_bytes(data)
    except (binascii.Error, ValueError):
        return None
    return raw.decode("utf-8", "replace")


def base64_of_data_url(url: str) -> tuple[str, str] | None:
    """The media type of a data URL, without parameters, and its data in base64; else None."""
    head = _head_of(url)
    if head is None:
        return None
    data = url[head.data_at :]
    if not head.in_base64:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return head.media_type, data


def _head_of(url: str) -> _Head | None:
    if url[: len(_SCHEME)].lower() != _SCHEME:
        return None
    comma = url.find(",")
    if comma < 0:
        return None
    media_type, *parameters = url[len(_SCHEME) : comma].lower().split(";")
    return _Head(media_type, "base64" in parameters, comma + 1)
