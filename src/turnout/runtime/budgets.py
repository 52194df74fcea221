"""Budgets as the configuration writes them."""

from turnout.config import BudgetSection, Config
from turnout.core import Budget, ConfigError, pico_from_usd


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
