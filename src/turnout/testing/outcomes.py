"""Reads what a caller got, and finds which of the documented outcomes it is.

Invariant: an end counts as clean only with the dialect's own end mark; an end that is neither clean
nor an error event is a silent truncation. This module does not know which fault was played.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from turnout.testing.faults import Outcome

Dialect = Literal["chat", "messages", "responses"]
PATHS: Mapping[Dialect, str] = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
}
_ENDS = {"chat": "[DONE]", "messages": "message_stop", "responses": "response.completed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response: status, headers in lower case, and the body as far as it arrived.

    ``broken`` says that the connection ended before the response did.
    """

    dialect: Dialect
    stream: bool
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    broken: bool = False

    def events(self) -> list[tuple[str, str]]:
        """The stream's events as (name, data)."""
        found = []
        for block in self.body.decode("utf-8", "replace").split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "data" in fields:
                found.append((fields.get("event", ""), fields["data"]))
        return found


def outcome_of(response: Response) -> Outcome:
    """Which outcome this is; PROVIDER counts as NEXT if another provider answered."""
    if response.broken:
        return Outcome.TRUNCATED
    if response.status == 200:
        is_complete = _ends_clean(response) if response.stream else _is_complete(response)
        if is_complete:
            is_first = response.headers.get("x-turnout-attempts") == "1"
            return Outcome.ANSWER if is_first else Outcome.NEXT
        return (
            Outcome.ERROR_EVENT
            if response.stream and _has_error_event(response)
            else Outcome.TRUNCATED
        )
    attempts = _attempts(response)
    if response.status == 400 and attempts == 1:
        return Outcome.REFUSED
    return Outcome.PROVIDER if response.status == 502 and attempts else Outcome.OTHER


def text_of(response: Response) -> str:
    """The text that arrived, whole or in pieces."""
    if not response.stream:
        return _whole_text(response.dialect, json.loads(response.body))
    return "".join(
        _piece(response.dialect, data) for _, data in response.events() if data != "[DONE]"
    )


def _ends_clean(response: Response) -> bool:
    name, data = (response.events() or [("", "")])[-1]
    return _ENDS[response.dialect] == (data if response.dialect == "chat" else name)


def _is_complete(response: Response) -> bool:
    body = _json(response.body)
    if response.dialect == "chat":
        choices = body.get("choices") or [{}]
        return choices[0].get("finish_reason") is not None
    if response.dialect == "messages":
        return body.get("stop_reason") is not None
    return body.get("status") == "completed"


def _has_error_event(response: Response) -> bool:
    name, data = (response.events() or [("", "{}")])[-1]
    payload = _json(data.encode())
    error_name = {"chat": "", "messages": "error", "responses": "response.failed"}[response.dialect]
    error = payload.get("error") or (payload.get("response") or {}).get("error") or {}
    return name == error_name and bool(error.get("message"))


def _attempts(response: Response) -> int:
    error = _json(response.body).get("error")
    return len(error.get("attempts") or ()) if isinstance(error, dict) else 0


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _whole_text(dialect: Dialect, body: Mapping[str, Any]) -> str:
    if dialect == "chat":
        return str(body["choices"][0]["message"].get("content") or "")
    parts = body["content"] if dialect == "messages" else body["output"][-1]["content"]
    return "".join(part.get("text", "") for part in parts)


def _piece(dialect: Dialect, data: str) -> str:
    event = json.loads(data)
    if dialect == "chat":
        choices = event.get("choices") or [{}]
        return str((choices[0].get("delta") or {}).get("content") or "")
    if dialect == "messages":
        return str((event.get("delta") or {}).get("text") or "")
    return str(event["delta"]) if event["type"] == "response.output_text.delta" else ""
