"""The configuration: ``turnout.yaml`` to frozen, validated values."""

from turnout.config.checks import naming
from turnout.config.choice import ClassifierSection, KnobSection, PolicySection
from turnout.config.load import (
    config_path,
    digest,
    first_problem,
    load,
    load_file,
    load_mapping,
    load_text,
    public,
)
from turnout.config.schema import BLOCK, Config
from turnout.config.service import BudgetSection
from turnout.config.supply import DeploymentSection, ModelSection, PriceSection, ProviderSection

__all__ = [
    "BLOCK",
    "BudgetSection",
    "ClassifierSection",
    "Config",
    "DeploymentSection",
    "KnobSection",
    "ModelSection",
    "PolicySection",
    "PriceSection",
    "ProviderSection",
    "config_path",
    "digest",
    "first_problem",
    "load",
    "load_file",
    "load_mapping",
    "load_text",
    "naming",
    "public",
]
