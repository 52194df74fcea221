"""Facts about a request."""

from turnout.features.extract import EXPECTED_OUTPUT_TOKENS, extract, prompt_texts
from turnout.features.tokens import count_tokens

__all__ = ["EXPECTED_OUTPUT_TOKENS", "count_tokens", "extract", "prompt_texts"]
