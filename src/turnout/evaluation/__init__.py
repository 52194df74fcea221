"""Evaluation: the same decisions, answered from tables."""
