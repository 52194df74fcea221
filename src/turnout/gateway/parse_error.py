"""The answer to bytes that are no request: what is wrong with them, for any client to read.

Invariant: it ends its connection, since nobody knows where the next request would begin.
"""

from http import HTTPStatus

import orjson

from turnout.gateway.exchange import STATUS_LINES


def error_response(status: HTTPStatus, message: str) -> bytes:
    """The whole response. Its body is an error both in OpenAI's shape and in Anthropic's.

    Which of them the caller speaks is said by the path, and that may be what could not be read.
    """
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "http"}
    body = orjson.dumps({"type": "error", "error": error})
    head = (
        "content-type: application/json\r\nx-should-retry: false\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return STATUS_LINES[status] + head.encode() + body
