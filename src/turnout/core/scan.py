"""What a scanner found in one part of an answer, and which bytes it found it in.

Invariant: made by the scanner alone, from the bytes that it has scored; nothing else may say that
an answer was scanned. This module does not know how a score is made.
"""

from dataclasses import dataclass

from turnout.core.prediction import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One part of an answer as scanned so far.

    ``part`` is the choice and what it is of it: ``0.text``, ``1.reasoning``, ``0.tool2``,
    ``0.other``. ``sha256`` is of its first ``scanned_bytes`` UTF-8 bytes, all of them scored;
    ``unsafe`` is the worst score, None when no verdict could be had; ``blocked`` is why the answer
    may not be given, or None.
    """

    part: str
    sha256: str
    scanned_bytes: int
    unsafe: float | None
    blocked: str | None
    classifier: Ref
