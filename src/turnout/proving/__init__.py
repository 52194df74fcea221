"""Proofs of promises, one command each: break things on purpose, and count the losses."""

from turnout.proving.report import Check, Proof

__all__ = ["Check", "Proof"]
