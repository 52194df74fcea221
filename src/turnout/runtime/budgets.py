"""Budgets as the configuration writes them."""

from pydantic import ValidationError

from turnout.config import BudgetSection, Config, first_problem
from turnout.core import Budget, ConfigError, InvalidRequest, pico_from_usd


def budgets_of(config: Config) -> tuple[Budget, ...]:
    """The configuration's budgets. Raises ConfigError for two of the same kind."""
    found: dict[str, Budget] = {}
    for section in config.budgets:
        budget = budget_of(section)
        if budget.id in found:
            raise ConfigError(f"budgets: {budget.id} is given twice; keep one")
        if budget.per == "model" and budget.name not in (None, *config.models):
            known = ", ".join(config.models)
            raise ConfigError(f"budgets: {budget.name!r} is not in models; use one of {known}")
        found[budget.id] = budget
    return tuple(found.values())


def read_budget(fields: object) -> Budget:
    """One budget from what a command or a request says. Raises InvalidRequest."""
    try:
        return budget_of(BudgetSection.model_validate(fields))
    except ValidationError as error:
        field, problem = first_problem(error)
        raise InvalidRequest(f"{field or 'budget'}: {problem}", field=field or None) from error


def budget_of(section: BudgetSection) -> Budget:
    """One budget."""
    unit, limit = section.amount
    return Budget(
        per=section.per,
        name=section.name,
        window=section.window,
        unit=unit,
        limit=pico_from_usd(limit) if unit == "usd" else int(limit),
        when_full=section.when_full,
    )
