"""Rules in order: the first one that matches a request chooses; if none does, another policy.

A rule looks at words, a regular expression, the request's tags (with its ``metadata``), the kind of
call and the hour of the snapshot.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from turnout.core import CallKind, Candidate, Ref, Request, text_of
from turnout.policies.protocol import Policy, Score, Situation, in_order

# A pattern is tried on so many characters at most, so that a careless one stays harmless.
_CHARACTERS_READ = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Every condition must match: one of ``keywords``, ``pattern``, all ``tags``, hours and kind.

    ``hours`` is (from, to) in 0..24, as clocks in ``zone`` show them, and may pass midnight;
    ``deployment`` answers.
    """

    name: str
    deployment: str
    keywords: tuple[str, ...] = ()
    pattern: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    hours: tuple[float, float] | None = None
    zone: tzinfo = UTC
    kind: CallKind | None = None

    def matches(self, situation: Situation) -> bool:
        """Whether the request meets every condition."""
        request = situation.request
        if self.kind not in (None, situation.features.kind):
            return False
        text = _last_user_text(request)
        folded = text.casefold() if self.keywords else ""
        has_keyword = not self.keywords or any(word.casefold() in folded for word in self.keywords)
        matches_pattern = (
            self.pattern is None or re.search(self.pattern, text, re.IGNORECASE) is not None
        )
        tags = _tags(request) if self.tags else {}
        has_tags = all(tags.get(key) == value for key, value in self.tags.items())
        return (
            has_keyword
            and matches_pattern
            and has_tags
            and self._is_within_hours(situation.snapshot.as_of)
        )

    def _is_within_hours(self, as_of: float) -> bool:
        if self.hours is None:
            return True
        now = datetime.fromtimestamp(as_of, self.zone)
        hour = now.hour + now.minute / 60 + now.second / 3600
        start, end = self.hours
        return start <= hour < end if start <= end else hour >= start or hour < end


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """``rules`` in order, then ``otherwise``, which also orders the fallbacks."""

    rules: tuple[Rule, ...]
    otherwise: Policy

    @property
    def ref(self) -> Ref:
        """``rules`` and their names."""
        return Ref(name="rules", digest=">".join(rule.name for rule in self.rules))

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """The deployment of the first matching rule, followed by the others."""
        below = self.otherwise.rank(candidates, situation)
        by_id = {c.deployment: c for c in candidates}
        for rule in self.rules:
            if rule.deployment in by_id and rule.matches(situation):
                order = sorted(below, key=lambda score: -score.value)
                rest = [by_id[s.deployment] for s in order if s.deployment != rule.deployment]
                return in_order([by_id[rule.deployment], *rest], (f"rule {rule.name}", "fallback"))
        return below


def _tags(request: Request) -> Mapping[str, Any]:
    """The body's own ``metadata``, and the request's tags, which win."""
    metadata = (request.native or request.body).get("metadata")
    return {**(metadata if isinstance(metadata, Mapping) else {}), **request.tags}


def _last_user_text(request: Request) -> str:
    texts = [text_of(message) for message in request.messages if message.get("role") == "user"]
    return (texts[-1] if texts else "")[:_CHARACTERS_READ]
