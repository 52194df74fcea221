"""What a field of chat is called by callers who speak another API.

This module does not know requests or answers.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from turnout.core import Dialect
from turnout.gateway.problem import Problem

_WORDS: Mapping[Dialect, Mapping[str, str]] = {
    "messages": {"stop": "stop_sequences", "response_format": "output_config.format"},
    "responses": {
        "messages": "input",
        "max_completion_tokens": "max_output_tokens",
        "response_format": "text.format",
        "logprobs": "include",
    },
}


def in_words_of(dialect: Dialect, problem: Problem) -> Problem:
    """The problem of a field, told by the name under which its caller sent it."""
    field = problem.param or ""
    word = _WORDS.get(dialect, {}).get(field)
    if word is None:
        return problem
    message = re.sub(rf"\b{re.escape(field)}\b", word, problem.message)
    return replace(problem, param=word, message=message)
