"""Promises with a command each: break things on purpose, and count what was lost."""

from turnout.proving.report import Check, Proof

__all__ = ["Check", "Proof"]
