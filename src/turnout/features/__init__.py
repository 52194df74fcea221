"""Facts about a request."""

from turnout.features.extract import EXPECTED_OUTPUT_TOKENS, extract
from turnout.features.tokens import count, tokenizer

__all__ = ["EXPECTED_OUTPUT_TOKENS", "count", "extract", "tokenizer"]
