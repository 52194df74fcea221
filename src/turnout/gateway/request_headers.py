"""What a caller may say in headers; everything else in them is ignored.

Invariant: no header chooses a URL, a key, a price or a tenant.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from turnout.core import CALL_KINDS, CallKind, Constraints, InvalidRequest, pico_from_usd
from turnout.core.nearest import MISSPELLED, nearest

# Source: w3.org/TR/trace-context, section 3: version ff and ids of zeros alone are none.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
# The same, section 3.3.1.5: lists of 512 characters have to be passed on.
_TRACESTATE = re.compile(r"[!-~][ -~]{0,511}")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,6})?", re.ASCII)
_NAME = re.compile(r"[\w.:/@+-]{1,128}", re.ASCII)
_BETA = re.compile(r"[\w., -]{1,4096}", re.ASCII)
_TAGS = (
    (b"traceparent", "traceparent", _TRACEPARENT),
    (b"tracestate", "tracestate", _TRACESTATE),
    (b"x-request-id", "client_request_id", _NAME),
    (b"anthropic-beta", "anthropic-beta", _BETA),
)
_TAG_HEADERS = frozenset(header for header, _, _ in _TAGS)
_PREFIX = b"x-turnout-"
_COST, _LATENCY, _QUALITY = (
    _PREFIX + b"max-cost-usd",
    _PREFIX + b"max-latency-ms",
    _PREFIX + b"quality",
)
_SESSION, PRIORITY, _KIND = _PREFIX + b"session", _PREFIX + b"priority", _PREFIX + b"kind"
# What coding agents call theirs: Claude Code, and Codex.
_AGENT_SESSIONS = (b"x-claude-code-session-id", b"session-id")
_SESSIONS = frozenset({_SESSION, *_AGENT_SESSIONS})
# What they say of a call (Claude Code twice, Codex, opencode): what a value means, and any other.
_CLASSES: tuple[tuple[bytes, Mapping[bytes, CallKind | None], CallKind | None], ...] = (
    (
        b"x-claude-code-request-class",
        {
            b"main": None,  # a turn or a step, as its body shows
            b"subagent": "sub_agent",
            b"workflow": "sub_agent",
            b"compaction": "background",
            b"auxiliary": "background",
        },
        None,
    ),
    (b"x-claude-code-agent-id", {}, "sub_agent"),
    (
        b"x-openai-subagent",
        {b"compact": "background", b"memory_consolidation": "background"},
        "sub_agent",
    ),
    (b"x-parent-session-id", {}, "sub_agent"),
)
CLASS_HEADERS = frozenset(header for header, _, _ in _CLASSES)
READ_HEADERS = (_COST, _LATENCY, _QUALITY, _SESSION, PRIORITY, _KIND)
_OWN_NAMES = tuple(name[len(_PREFIX) :].decode() for name in READ_HEADERS)
# Who can wait says so; everybody else has the usual priority.
LOW, _NORMAL = b"low", b"normal"
_ANSWER_COST = _PREFIX + b"cost-usd"  # which answers say, and a proxy may hand back
_MOST_USD = Decimal(1_000_000)
_ONE = Decimal(1)

HeaderMap = Mapping[bytes, bytes]

_NO_CONSTRAINTS = Constraints()


def constraints_of(headers: HeaderMap, allow: frozenset[str] | None = None) -> Constraints:
    """``x-turnout-max-cost-usd``, ``-max-latency-ms`` and ``-quality``, and the models of the key.

    Raises InvalidRequest, also for one of our headers whose name is misspelled, and for a priority
    that there is not.
    """
    if _PREFIX not in b" ".join(headers):
        return _NO_CONSTRAINTS if allow is None else Constraints(allow=allow)
    _check_spelling([name for name in headers if name.startswith(_PREFIX)])
    _check_priority(headers.get(PRIORITY, _NORMAL))
    cost = _number(headers, _COST)
    latency = _number(headers, _LATENCY)
    quality = _number(headers, _QUALITY, most=_ONE)
    return Constraints(
        allow=allow,
        max_cost_pico_usd=None if cost is None else pico_from_usd(cost),
        max_latency_ms=None if latency is None else float(latency),
        quality=None if quality is None else float(quality),
    )


def session_of(headers: HeaderMap) -> str | None:
    """``x-turnout-session``, else what a coding agent calls its session. Raises InvalidRequest."""
    if headers.keys().isdisjoint(_SESSIONS):
        return None
    own = _name(headers, _SESSION)
    if own is not None:
        return own
    for header in _AGENT_SESSIONS:
        if header in headers:
            text = headers[header].decode("latin-1")
            return text if _NAME.fullmatch(text) else None
    return None


def kind_of(headers: HeaderMap) -> CallKind | None:
    """``x-turnout-kind``, else what a coding agent says of its call. Raises InvalidRequest."""
    own = headers.get(_KIND)
    if own is not None:
        found = next((kind for kind in CALL_KINDS if kind.encode() == own), None)
        if found is None:
            name, shown, kinds = _KIND.decode(), own[:40].decode("latin-1"), ", ".join(CALL_KINDS)
            raise InvalidRequest(f"{name} is {shown!r}; use one of {kinds}", field=name)
        return found
    if headers.keys().isdisjoint(CLASS_HEADERS):
        return None
    for header, meanings, other in _CLASSES:
        value = headers.get(header, b"")
        if value in meanings:
            return meanings[value]
        if value and other:
            return other
    return None


def tags_of(headers: HeaderMap) -> dict[str, str]:
    """The trace context and the caller's request id, where they are well formed."""
    found: dict[str, str] = {}
    if headers.keys().isdisjoint(_TAG_HEADERS):
        return found
    for header, tag, pattern in _TAGS:
        if header in headers:
            value = headers[header].decode("latin-1")
            if pattern.fullmatch(value):
                found[tag] = value
    if "traceparent" not in found:
        found.pop("tracestate", None)
    return found


def is_trace(value: bytes) -> bool:
    """Whether this is a well-formed ``traceparent``."""
    return _TRACEPARENT.fullmatch(value.decode("latin-1")) is not None


def _check_spelling(names: Sequence[bytes]) -> None:
    """A limit that nobody reads is none: better not to answer than to answer without it."""
    for header in names:
        name = header[len(_PREFIX) :].decode("latin-1")
        near = nearest(name, _OWN_NAMES, MISSPELLED)
        if near and name not in _OWN_NAMES and header != _ANSWER_COST:
            given, suggested = (f"{_PREFIX.decode()}{name}" for name in (name, near))
            raise InvalidRequest(
                f"{given} is not a known header; did you mean {suggested}?", field=given
            )


def _check_priority(value: bytes) -> None:
    if value not in (LOW, _NORMAL):
        name, shown = PRIORITY.decode(), value[:40].decode("latin-1")
        raise InvalidRequest(f"{name} is {shown!r}; use low, or leave it out", field=name)


def _number(headers: HeaderMap, header: bytes, most: Decimal = _MOST_USD) -> Decimal | None:
    raw = headers.get(header)
    if raw is None:
        return None
    text = raw.decode("latin-1")
    # As JSON writes numbers: Decimal reads 1_000 as well, which may have been meant otherwise.
    value = Decimal(text) if _NUMBER.fullmatch(text) else None
    if value is None or value > most:
        name = header.decode()
        raise InvalidRequest(f"{name} is {text[:40]!r}; use a number from 0 to {most}", field=name)
    return value


def _name(headers: HeaderMap, header: bytes) -> str | None:
    raw = headers.get(header)
    if raw is None:
        return None
    text = raw.decode("latin-1")
    if not _NAME.fullmatch(text):
        name = header.decode()
        raise InvalidRequest(
            f"{name} must be 1 to 128 letters, digits or signs of . : / @ + - _", field=name
        )
    return text
