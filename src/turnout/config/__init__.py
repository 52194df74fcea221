"""The configuration: ``turnout.yaml`` to frozen, validated values."""

from turnout.config.checks import errors_at
from turnout.config.choice import KnobSection
from turnout.config.load import (
    config_path,
    digest,
    environ_or_own,
    first_problem,
    load,
    load_file,
    load_mapping,
    load_text,
    public_settings,
)
from turnout.config.schema import BLOCK, Config
from turnout.config.service import BudgetSection
from turnout.config.supply import DeploymentSection, ModelSection, PriceSection, ProviderSection

__all__ = [
    "BLOCK",
    "BudgetSection",
    "Config",
    "DeploymentSection",
    "KnobSection",
    "ModelSection",
    "PriceSection",
    "ProviderSection",
    "config_path",
    "digest",
    "environ_or_own",
    "errors_at",
    "first_problem",
    "load",
    "load_file",
    "load_mapping",
    "load_text",
    "public_settings",
]
