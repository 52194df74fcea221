"""Facts about a request."""

from turnout.features.extract import EXPECTED_OUTPUT_TOKENS, extract, prompt_texts
from turnout.features.tokens import count

__all__ = ["EXPECTED_OUTPUT_TOKENS", "count", "extract", "prompt_texts"]
