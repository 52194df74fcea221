"""``Idempotency-Key``: a request that bears one is carried out once, and its answer replayed.

The rules are those of docs.stripe.com/api/idempotent_requests: the same key with the same request
gets the first status and body again, with another request a 422, while the first one is under way a
409; keys live for a day. Invariant: what was not carried out, broke off or was left by its caller
is not kept, so that its key can be used again. This module does not know storage.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable

from turnout.core import RouterError
from turnout.gateway.access import given_key
from turnout.gateway.arrival import Arrival, Handler, ReadJson
from turnout.gateway.body import Refused
from turnout.gateway.dialects import ApiDialect
from turnout.gateway.digest import digest, relevant_headers
from turnout.gateway.exchange import JSON, Exchange, Gone
from turnout.gateway.problem import Problem, bad_request, internal
from turnout.gateway.recording_exchange import RecordingExchange
from turnout.gateway.sealed import Answer, seal, sealing_key, unseal
from turnout.runtime import Claim, LocalReplays, Replays, offload_if_long

HEADER = b"idempotency-key"
REPLAYED = (b"idempotent-replayed", b"true")
MOST_CHARACTERS = 255
# What costs money or makes something; the other paths may be asked again as they are.
PATHS = frozenset(
    {
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/embeddings",
        "/v1/feedback",
        "/v1/keys",
        "/v1/budgets",
    }
)
ROTATE = "/rotate"
WAIT_S = 1.0

_LOG = logging.getLogger("turnout.gateway")
_KEY = re.compile(rb"[!-~]{1,%d}" % MOST_CHARACTERS)
_UNUSABLE = bad_request(
    f"Idempotency-Key must be 1 to {MOST_CHARACTERS} visible ASCII characters",
    code="invalid_idempotency_key",
)
_OTHER_REQUEST = bad_request(
    "this Idempotency-Key was used for another request; give each request its own",
    status=422,
    code="idempotency_key_reused",
)
_SECRET_ROTATED = bad_request(
    "the answer to this request is encrypted with the key's secret before its rotation; use that "
    "secret, or send another Idempotency-Key to run the request again",
    status=409,
    code="idempotency_key_rotated",
)
_IN_PROGRESS = Problem(
    status=409,
    code="idempotency_key_in_use",
    message="a request with this Idempotency-Key is still running; try again after Retry-After",
    retry_after_s=WAIT_S,
)
_DECISION_HEADER = b"x-turnout-decision"
_COST_HEADERS = (b"x-turnout-cost-usd", b"x-turnout-expected-cost-usd")


class Idempotency:
    """Carries requests out once. ``stored`` gives the ledger's replays, if there is a ledger."""

    def __init__(self, stored: Callable[[], Replays | None], read: ReadJson) -> None:
        self._stored = stored
        self._read = read
        self._local = LocalReplays()

    def wrap(self, handler: Handler, dialect: ApiDialect) -> Handler:
        """The handler of a request that bears a key, where its path heeds one."""

        async def handle(arrival: Arrival, out: Exchange) -> None:
            path = arrival.path
            if arrival.method == "POST" and (path in PATHS or path.endswith(ROTATE)):
                await self._run_once(handler, dialect, arrival, out)
            else:
                await handler(arrival, out)

        return handle

    async def _run_once(
        self, handler: Handler, dialect: ApiDialect, arrival: Arrival, out: Exchange
    ) -> None:
        given = arrival.headers[HEADER]
        if not _KEY.fullmatch(given):
            raise Refused(_UNUSABLE)
        key = sealing_key(given_key(arrival.headers), given)
        request = [arrival.path, relevant_headers(arrival.headers), await self._read(arrival)]
        claim = Claim(
            # The caller's and not its secret's: with a new one it is still carried out once.
            id=digest([arrival.caller.tenant, arrival.caller.key, given.hex()]).hex(),
            fingerprint=(await offload_if_long(arrival.body_bytes, digest, request)).hex(),
            token=secrets.token_hex(16),
        )
        replays = self._stored() or self._local
        prior = await replays.claim(claim)
        if prior is None:
            await _Run(replays, claim, key).run(handler, dialect, arrival, out)
        elif prior.fingerprint != claim.fingerprint:
            raise Refused(_OTHER_REQUEST)
        elif prior.answer is None:
            raise Refused(_IN_PROGRESS)
        else:
            answer = await asyncio.to_thread(unseal, prior.answer, key)
            if answer is None:
                raise Refused(_SECRET_ROTATED)
            await _replay(answer, out)


class _Run:
    """A claim that was granted, until its answer is kept or the claim given up."""

    def __init__(self, replays: Replays, claim: Claim, key: bytes) -> None:
        self._replays, self._claim, self._key = replays, claim, key
        self._open = True

    async def run(
        self, handler: Handler, dialect: ApiDialect, arrival: Arrival, out: Exchange
    ) -> None:
        try:
            await handler(arrival, RecordingExchange(out, self._keep))
        except (RouterError, Refused, Gone):
            raise
        except Exception:
            # Nobody knows how far it came: it is answered with a 500, and so are its repetitions.
            if out.status is None:
                body = dialect.error(internal(), arrival.id)
                await self._keep(Answer(status=500, headers=[JSON], body=body, stream=False), body)
            raise
        finally:
            if self._open:
                await asyncio.shield(self._release())

    async def _keep(self, answer: Answer, end: bytes) -> bytes:
        self._open = False
        # An answer that is whole is paid for, and kept even when its caller leaves now.
        await asyncio.shield(self._store(answer))
        return end

    async def _store(self, answer: Answer) -> None:
        sealed = await asyncio.to_thread(seal, answer, self._key)
        try:
            await self._replays.keep(self._claim, sealed)
        except RouterError as error:
            # The caller gets it all the same; the claim stands until its lease is over.
            _LOG.error("an answer could not be kept", extra={"fields": {"problem": str(error)}})

    async def _release(self) -> None:
        try:
            await self._replays.drop(self._claim)
        except RouterError as error:
            _LOG.error("a claim could not be dropped", extra={"fields": {"problem": str(error)}})


async def _replay(answer: Answer, out: Exchange) -> None:
    """Send an answer again, marked as one that cost nothing."""
    # A head that was sent before its model was known has no cost yet.
    is_routed = any(name == _DECISION_HEADER for name, _ in answer.headers)
    headers = [(name, value) for name, value in answer.headers if name not in _COST_HEADERS]
    headers += [REPLAYED, *([(b"x-turnout-cost-usd", b"0")] if is_routed else [])]
    if answer.stream:
        await out.begin(answer.status, headers)
        await out.end(answer.body)
    else:
        await out.whole(answer.status, headers, answer.body)
