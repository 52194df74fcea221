"""An answer as it is kept for its caller: status, headers and body, unreadable to anybody else.

The key that opens it is made from the caller's own key and the Idempotency-Key; neither is stored.
Invariant: what is kept holds no readable text, so that a ledger stays free of content and of keys
that were shown once. This module does not know HTTP parsing or storage.
"""

import hashlib
import hmac
import os
import zlib
from typing import TYPE_CHECKING, NamedTuple

import orjson

from turnout.core.extras import requiring_extra
from turnout.gateway.exchange import Headers

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_LENGTH_BYTES = 4


class Answer(NamedTuple):
    """A response's bytes as they were sent, whole or a stream."""

    status: int
    headers: Headers
    body: bytes
    stream: bool


def sealing_key(callers_key: str, idempotency_key: bytes) -> bytes:
    """The key of 256 bits that seals one request's answer."""
    return hmac.digest(callers_key.encode("utf-8", "replace"), idempotency_key, hashlib.sha256)


def seal(answer: Answer, key: bytes) -> bytes:
    """The answer, packed and encrypted. Raises ConfigError where the library is missing."""
    named = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers]
    head = orjson.dumps([answer.status, answer.stream, named])
    plain = len(head).to_bytes(_LENGTH_BYTES, "big") + head + answer.body
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, zlib.compress(plain, 1), None)


def unseal(sealed: bytes, key: bytes) -> Answer | None:
    """The answer again, None where another key sealed it.

    Raises ConfigError where the library is missing.
    """
    cipher = _cipher(key)
    from cryptography.exceptions import InvalidTag

    nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        plain = zlib.decompress(cipher.decrypt(nonce, rest, None))
    except InvalidTag:
        return None
    end = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")
    status, stream, named = orjson.loads(plain[_LENGTH_BYTES:end])
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named]
    return Answer(status=status, headers=headers, body=plain[end:], stream=stream)


def _cipher(key: bytes) -> "AESGCM":
    with requiring_extra("serve", "Idempotency-Key needs cryptography"):
        from cryptography.hazmat.primitives.ciphers import aead
    return aead.AESGCM(key)
