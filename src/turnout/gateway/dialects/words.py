"""The names that other APIs use for the fields of chat.

This module does not know answers.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from turnout.core import Dialect, Request
from turnout.gateway.problem import Problem

_WORDS: Mapping[Dialect, Mapping[str, str]] = {
    "messages": {
        "stop": "stop_sequences",
        "response_format": "output_config.format",
        "reasoning_effort": "output_config.effort",
        "user": "metadata.user_id",
    },
    "responses": {
        "messages": "input",
        "max_completion_tokens": "max_output_tokens",
        "response_format": "text.format",
        "logprobs": "include",
        "reasoning_effort": "reasoning.effort",
        "verbosity": "text.verbosity",
    },
}


def word_of(request: Request, field: str) -> str:
    """The name of this chat field in the API that the caller of ``request`` speaks."""
    word = _WORDS.get(request.dialect, {}).get(field, field)
    # Messages has two fields for the effort.
    thought = word.startswith("output_config") and not (request.native or {}).get("output_config")
    return "thinking" if thought else word


def in_words_of(dialect: Dialect, problem: Problem) -> Problem:
    """The problem, with its field named as the caller named it."""
    field = problem.param or ""
    word = _WORDS.get(dialect, {}).get(field)
    if word is None:
        return problem
    message = re.sub(rf"\b{re.escape(field)}\b", word, problem.message)
    return replace(problem, param=word, message=message)
