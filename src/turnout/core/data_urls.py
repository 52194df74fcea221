"""The texts inside data URLs. Source: RFC 2397."""

import base64
import binascii
from urllib.parse import unquote_to_bytes

_TEXT = ("data:text/", "data:application/json", "data:application/xml")


def text_of_data_url(url: str) -> str | None:
    """The text of a data URL whose media type is text; None for others and for broken ones.

    Bytes that are not UTF-8 become replacement characters.
    """
    if not url.startswith(_TEXT):
        return None
    head, _, data = url.partition(",")
    try:
        raw = base64.b64decode(data) if head.endswith(";base64") else unquote_to_bytes(data)
    except (binascii.Error, ValueError):
        return None
    return raw.decode("utf-8", "replace")
