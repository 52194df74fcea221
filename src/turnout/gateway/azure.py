"""Addresses of Azure's OpenAI service, in which the deployment's name stands for the model.

Invariant: only paths that answer, those of kept answers and the list of models can be reached this
way.
Source: learn.microsoft.com/azure/ai-foundry/openai/reference, and the paths its clients send.
"""

import re

_ADDRESS = re.compile(
    r"(?:/v1|/openai(?:/v1)?)(?:/deployments/(?P<name>.+))?"
    r"(?P<rest>/chat/completions|/embeddings|/responses(?:/.+)?|/models)"
)


def split_azure_path(path: str) -> tuple[str, str | None]:
    """The path without Azure's parts, and the model it names; any other path as it is."""
    match = _ADDRESS.fullmatch(path)
    return (f"/v1{match['rest']}", match["name"]) if match else (path, None)
