"""How well and how fast the classifiers work; run as ``python -m benchmarks.classify DATA…``."""
