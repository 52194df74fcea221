"""The one border where the failures of a connection become faults.

Invariant: every exception that an exchange can end in has a rule here, found by name along its
bases. A test walks the classes. This module does not know codecs.
"""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass

from turnout.core import Fault
from turnout.core.fault import Blame, FaultKind, Retry, Scope
from turnout.providers.scrub import scrub


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a class of exceptions means; ``says`` may use {target}, {cause} and {fix}."""

    says: str
    kind: FaultKind = "unavailable"
    retry: Retry = "transient"
    scope: Scope = "deployment"
    blame: Blame = "provider"


_LONGEST_CAUSE = 100

_RENEW = "; its owner must renew it, or this machine's clock is wrong"
_NAME = "; use the host that it is made for in base_url"
_TRUST = "; if you trust it, set SSL_CERT_FILE to a file with its issuer's certificate"
# By the codes of X509_V_ERR_* in <openssl/x509_vfy.h>.
_FIXES: Mapping[object, str] = {
    **dict.fromkeys((9, 10), _RENEW),
    **dict.fromkeys((62, 64), _NAME),
    **dict.fromkeys((18, 19, 20, 21), _TRUST),
}

_LOST = Rule(says="the connection to {target} was lost: {cause}")

RULES: Mapping[str, Rule] = {
    "NotAnAddress": Rule(
        says="base_url is not a usable http(s) address: {cause}",
        kind="invalid_request",
        retry="no",
        scope="provider",
        blame="us",
    ),
    "Unsendable": Rule(
        says="the request to {target} cannot be sent: {cause}",
        kind="invalid_request",
        retry="no",
        blame="us",
    ),
    "Unresolved": Rule(
        says="cannot resolve the host of {target}: {cause}; check base_url", scope="provider"
    ),
    "Unreachable": Rule(says="cannot reach {target}: {cause}", scope="provider"),
    "OutOfSockets": Rule(
        says="no socket is left to reach {target}: {cause}; raise this machine's limits or send "
        "less at a time",
        retry="no",
        blame="us",
    ),
    "NoConnectionInTime": Rule(
        says="cannot reach {target}: no connection in time", kind="timeout", scope="provider"
    ),
    "SSLCertVerificationError": Rule(
        says="the certificate of {target} is not valid: {cause}{fix}",
        retry="no",
        scope="provider",
    ),
    "SSLError": Rule(
        says="no TLS with {target}: {cause}; check whether base_url should begin with https://",
        retry="no",
        scope="provider",
    ),
    "ClosedEarly": Rule(says="{target} closed the connection without an answer"),
    "BrokenHttp": Rule(says="{target} sent invalid HTTP: {cause}", kind="bad_response"),
    "BrokenOff": Rule(says="the answer of {target} broke off", kind="interrupted"),
    "OSError": _LOST,
}


def fault_of(error: BaseException, target: str, *, in_body: bool = False) -> Fault:
    """The fault of a failed exchange with ``target`` ("host:port").

    ``in_body`` says that the answer had begun: a lost connection then means an interruption.
    """
    rule = next((RULES[c.__name__] for c in type(error).__mro__ if c.__name__ in RULES), _LOST)
    kind = "interrupted" if in_body and rule is _LOST else rule.kind
    fix = _FIXES.get(getattr(error, "verify_code", None), "")
    says = scrub(rule.says.format(target=target, cause=_cause(error).rstrip("."), fix=fix))
    return Fault(kind=kind, detail=says, retry=rule.retry, scope=rule.scope, blame=rule.blame)


def _cause(error: BaseException) -> str:
    """The reason in the operating system's words where it is one of its errors."""
    inner = error.__cause__ or error
    number = getattr(inner, "errno", None)
    # Errors of TLS carry a number that is not the system's.
    said = getattr(inner, "verify_message", None) or getattr(inner, "reason", None)
    if not said and isinstance(number, int) and number in errno.errorcode:
        return os.strerror(number)
    text = said or getattr(inner, "strerror", None) or str(inner)
    first_line = str(text).strip().partition("\n")[0]
    return first_line[:_LONGEST_CAUSE] or type(error).__name__
