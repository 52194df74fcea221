"""The building blocks of every section of ``turnout.yaml``: its base class and types of values.

Invariant: unknown keys are errors, and a validated section is frozen.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from turnout.core.money import is_per_token

Name = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _check_per_mtok(usd: Decimal) -> Decimal:
    if is_per_token(usd):
        raise ValueError("looks like the price of one token; give that of a million")
    return usd


UsdPerMtok = Annotated[
    Decimal, Field(ge=0, le=10**6, allow_inf_nan=False), AfterValidator(_check_per_mtok)
]


def _hours_of_clock(value: object) -> object:
    """``22:30`` as 22.5; anything else as it is."""
    found = re.fullmatch(r"(\d{1,2}):([0-5]\d)", value) if isinstance(value, str) else None
    return value if found is None else int(found[1]) + int(found[2]) / 60


Hour = Annotated[float, Field(ge=0, le=24), BeforeValidator(_hours_of_clock)]


_CALLED = re.compile(r"/(?:chat/completions|completions|responses|messages|embeddings)/?$")


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None:
        raise ValueError("holds a name or password; put these into api_key or headers")
    if parts.query:
        raise ValueError("holds a query, which calls cannot have; leave it out")
    if called := _CALLED.search(parts.path):
        raise ValueError(f"ends with the path of a call; leave out {called[0]}")
    plain = not parts.fragment and not re.search(r"\s", url)
    if url == "embedded://" or (
        parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and plain
    ):
        return url
    raise ValueError("use a URL such as https://api.example.com/v1")


BaseUrl = Annotated[str, AfterValidator(_check_url)]


def _check_origin(text: str) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#*]+/?", text):
        return text
    raise ValueError("use a scheme and a host without a path, such as https://app.example.org")


Origin = Annotated[str, AfterValidator(_check_origin)]

# The characters of a header: RFC 9110, sections 5.1 and 5.5.
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
HeaderValue = Annotated[str, Field(pattern=r"^[\t\x20-\x7e\x80-\xff]*$")]


def off_if_false(value: object) -> object:
    """``off`` for the false that YAML reads in a bare ``off``."""
    return "off" if value is False else value


class Section(BaseModel):
    """Base of every section."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans(cls, value: object, info: ValidationInfo) -> object:
        """Refuses yes and no as numbers; elsewhere they count as 1 and 0."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and _is_number(field.annotation):
            raise ValueError("give a number; YAML reads yes, no, on and off as true and false")
        return value


def _is_number(annotation: Any) -> bool:
    return annotation in (int, float) or any(map(_is_number, get_args(annotation)))
