"""Addresses as clients of Azure's OpenAI service write them: the deployment's name is the model.

Invariant: only what answers, and the list of models, is reached this way; keys and budgets are not.
Source: learn.microsoft.com/azure/ai-foundry/openai/reference, and the paths its clients send.
"""

import re

_ADDRESS = re.compile(
    r"(?:/v1|/openai(?:/v1)?)(?:/deployments/(?P<name>.+))?"
    r"(?P<rest>/chat/completions|/embeddings|/responses|/models)"
)


def resolved(path: str) -> tuple[str, str | None]:
    """The path that is meant, and the model that it names; any other path as it is."""
    found = _ADDRESS.fullmatch(path)
    return (f"/v1{found['rest']}", found["name"]) if found else (path, None)
