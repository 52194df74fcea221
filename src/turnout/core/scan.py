"""What a scanner found in one part of an answer, and which bytes it found it in.

Invariant: only the scanner makes these, from bytes that it has scored; nothing else may say that an
answer was scanned. This module does not know how a score is made.
"""

from dataclasses import dataclass

from turnout.core.prediction import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One part of an answer as scanned so far.

    ``part`` names the choice and the part of it: ``0.text``, ``1.reasoning``, ``0.tool2``,
    ``0.other``. ``sha256`` is the hash of its first ``scanned_bytes`` bytes in UTF-8, all of which
    were scored. ``unsafe`` is the worst score, None without a verdict; ``blocked`` is why the
    answer may not be given, or None.
    """

    part: str
    sha256: str
    scanned_bytes: int
    unsafe: float | None
    blocked: str | None
    classifier: Ref
