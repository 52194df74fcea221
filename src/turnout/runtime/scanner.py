"""Scores what a model wrote, by the classifier and the safety rule that judge requests.

Invariant: a Scan is made from the classifier's own result, and its hash covers exactly the bytes
that were scored; no verdict blocks. The second stage runs on a thread; for a long text both do.
This module does not know streams.
"""

import hashlib
import re
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from turnout.classifiers import Classifier
from turnout.core import Prediction, Scan
from turnout.decision import SafetyRule
from turnout.runtime.offload import MOST_LOOP_CHARACTERS, run_on

# Characters of earlier text that are scored again with new text; both fit one stretch.
_CONTEXT = 400
_ENDS = (
    r"(?<=[.!?\n\u061f\u06d4\u0964])\s+|(?<=[\u3002\uff01\uff1f])"
    # Where Latin text begins or ends among other scripts, some of which do not mark sentences.
    r"|(?<=[^\x00-\u036f])\s*(?=[\x00-\u036f]{20})|(?<=[\x00-\u036f]{20})(?=[^\x00-\u036f])"
)
_SENTENCE_END = re.compile(_ENDS)
# Arguments of tools are JSON: there a line ends in an escape, and a text at its quote.
_ARGUMENT_END = re.compile(rf'{_ENDS}|\\[nr]|(?<!\\)"')
_LEAST_CHARACTERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """What scoring needs: the classifier, the rule, and threads for the second stage."""

    classifier: Classifier
    rule: SafetyRule
    threads: Executor

    async def predict(self, before: str, text: str, ends: re.Pattern[str]) -> Prediction:
        """The prediction for ``text`` together with ``before``, as a whole and by sentences.

        One unsafe sentence would be lost in the score of the text around it; ``ends`` finds where
        sentences end.
        """
        if len(text) > MOST_LOOP_CHARACTERS:
            return await run_on(
                self.threads, lambda: self.classifier.predict(_as_messages(before, text, ends))
            )
        (begun,) = self.classifier.begin_batch([_as_messages(before, text, ends)])
        if isinstance(begun, Prediction):
            return begun
        (found,) = await run_on(self.threads, self.classifier.finish_batch, [begun])
        return found


@dataclass(slots=True, kw_only=True)
class _Part:
    """A part of the answer: the end of what was scored, and the hash of all that was scored."""

    tail: str = ""
    digest: Any = field(default_factory=hashlib.sha256)
    scanned_bytes: int = 0
    worst: float | None = 0.0


class Scanner:
    """Scans one answer as it grows; ``scans`` has one Scan for each part of the answer."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._parts: dict[str, _Part] = {}
        self.scans: dict[str, Scan] = {}

    async def scan(self, unscanned: Mapping[str, str]) -> str | None:
        """Scores the new text of each part, together with the end of what came before it.

        Returns why the answer may not be given, or None.
        """
        for name, text in unscanned.items():
            found = await self._scan(name, text)
            self.scans[name] = found
            if found.blocked:
                return found.blocked
        return None

    async def _scan(self, name: str, text: str) -> Scan:
        part = self._parts.setdefault(name, _Part())
        # White space would get no verdict.
        prediction = None
        if (part.tail + text).strip():
            ends = _ARGUMENT_END if ".tool" in name else _SENTENCE_END
            prediction = await self._scorer.predict(part.tail, text, ends)
        data = text.encode("utf-8", "replace")
        part.digest.update(data)
        part.scanned_bytes += len(data)
        part.tail = (part.tail + text)[-_CONTEXT:]
        if prediction is not None:
            part.worst = _worst(part.worst, prediction.unsafe)
        rule = self._scorer.rule
        return Scan(
            part=name,
            sha256=part.digest.hexdigest(),
            scanned_bytes=part.scanned_bytes,
            unsafe=part.worst,
            blocked=rule.verdict(prediction) if prediction is not None else None,
            classifier=self._scorer.classifier.ref,
        )


def _as_messages(before: str, text: str, ends: re.Pattern[str]) -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": part} for part in _passages(before, text, ends)]
    return [{"role": "assistant", "content": parts}]


def _passages(before: str, text: str, ends: re.Pattern[str]) -> list[str]:
    """The whole text, and each sentence of it that is at least partly new."""
    whole = before + text
    found, start = [whole], 0
    for end in [*(m.end() for m in ends.finditer(whole)), len(whole)]:
        if end > len(before) and end - start >= _LEAST_CHARACTERS:
            found.append(whole[start:end].strip())
        start = end
    return list(dict.fromkeys(found))


def _worst(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else max(before, now)
