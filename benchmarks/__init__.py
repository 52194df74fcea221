"""Benchmarks: one command each, printing the machine, the versions, medians and spread."""
