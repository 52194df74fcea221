"""Budgets from the configuration, from commands and from requests."""

from pydantic import ValidationError

from turnout.config import BudgetSection, Config, first_problem
from turnout.core import Budget, InvalidRequest, pico_from_usd


def budgets_of(config: Config) -> tuple[Budget, ...]:
    """The configuration's budgets."""
    return tuple(budget_of(section) for section in config.budgets)


def read_budget(fields: object) -> Budget:
    """The budget that the fields of a command or a request describe. Raises InvalidRequest."""
    try:
        return budget_of(BudgetSection.model_validate(fields))
    except ValidationError as error:
        field, problem = first_problem(error)
        raise InvalidRequest(f"{field or 'budget'}: {problem}", field=field or None) from error


def budget_of(section: BudgetSection) -> Budget:
    """The budget that a section of the configuration describes."""
    unit, limit = section.amount
    return Budget(
        per=section.per,
        name=section.name,
        window=section.window,
        unit=unit,
        limit=pico_from_usd(limit) if unit == "usd" else int(limit),
        when_full=section.when_full,
    )
