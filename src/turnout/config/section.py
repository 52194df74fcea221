"""What every section of ``turnout.yaml`` is made of: its base class, and the types of values.

Invariant: unknown keys are errors, and a validated section is frozen.
"""

from decimal import Decimal
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
Hour = Annotated[float, Field(ge=0, le=24)]
UsdPerMtok = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


def _callable(url: str) -> str:
    parts = urlsplit(url)
    if url == "embedded://" or (
        parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    ):
        return url
    raise ValueError("use a URL such as https://api.example.com/v1")


BaseUrl = Annotated[str, AfterValidator(_callable)]


def off(value: object) -> object:
    """``off`` for the false that YAML reads in a bare ``off``."""
    return "off" if value is False else value


class Section(BaseModel):
    """Base of every section."""

    model_config = ConfigDict(extra="forbid", frozen=True)
