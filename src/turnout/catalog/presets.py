"""Providers and models known by name, from dated data in the package.

This module does not know the user's configuration.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

# Tokenizer by a part of the model's id; the first that matches counts. Claude's tokenizer is not
# public: o200k_base undercounts, and the factor corrects that on the safe side.
_FAMILIES: tuple[tuple[str, str, float], ...] = (
    ("deepseek", "deepseek_v3", 1.0),
    ("qwen", "qwen3", 1.0),
    ("claude", "o200k_base", 1.2),
    ("llama", "llama3", 1.0),
    ("gpt-oss", "gpt-oss", 1.0),
    ("kimi", "kimi_k2", 1.0),
    ("glm", "glm4", 1.0),
    ("mistral", "mistral_v3", 1.0),
    ("mixtral", "mistral_v1", 1.0),
    ("gemini", "o200k_base", 1.1),
)
# What models take beside text, by a part of their ids; the first that matches counts, unless a
# preset or the configuration says more about the model. If a model refuses what its name promises,
# its provider says so, and the next one is called.
_MODALITIES: tuple[tuple[str, list[str]], ...] = (
    (r"claude-(?:2|instant)|o1-(?:mini|preview)|o3-mini|gpt-oss|realtime|tts|transcribe", []),
    (r"gpt-4o(?:-mini)?-audio|gpt-audio", ["audio"]),
    (r"gemini", ["image", "audio", "video", "file"]),
    (r"claude|gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|\bo[134]\b", ["image", "file"]),
    (r"[\d_-]vl\b", ["image", "video"]),
    (r"gpt-4-turbo|vision|pixtral|llava|llama-?4|gemma-?3|grok-4", ["image"]),
)


@cache
def presets() -> Mapping[str, Any]:
    """Preset providers by name."""
    text = files("turnout.catalog").joinpath("presets.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)  # type: ignore[no-any-return]


def canonical_model(preset: str, model: str) -> str:
    """The preset's own spelling of a model id; the id as given if the preset lacks the model."""
    folded = model.casefold()
    for known, facts in presets().get(preset, {}).get("models", {}).items():
        spellings = [known, *facts.get("aliases", ())]
        if folded in (spelling.casefold() for spelling in spellings):
            return str(known)
    return model


def model_facts(preset: str, model: str) -> Mapping[str, Any]:
    """The preset's facts about a model, with the tokenizer and the modalities of its family."""
    known = presets().get(preset, {}).get("models", {}).get(model, {})
    return {**_family_facts(model), **known}


def _family_facts(model: str) -> dict[str, Any]:
    folded = model.casefold()
    modalities = next(
        (modalities for part, modalities in _MODALITIES if re.search(part, folded)), []
    )
    for part, tokenizer, factor in _FAMILIES:
        if part in folded:
            return {"tokenizer": tokenizer, "token_factor": factor, "modalities": modalities}
    return {"modalities": modalities}
