"""The balances of budgets, and which holds of a batch fit: the one place that admits holds.

Invariant: no hold admitted here lifts the sum of spent and held above the limit of any account and
window. Pure: the balances are arguments, read under the transaction's lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from turnout.core import BudgetExceeded, Standing
from turnout.ledger.entries import Charge, Decided, Entry, Hold, Settlement, Use

Account = tuple[str, str]  # an account and its window
Balance = tuple[int, int]  # spent, held


def accounts_of(entries: Sequence[Entry]) -> list[Account]:
    """The accounts that a batch changes, in the order in which every process locks them."""
    found: set[Account] = set()
    for entry in entries:
        changes: Iterable[Use | Charge] = ()
        if type(entry) is Settlement:
            changes = entry.uses
        elif (hold := _hold_of(entry)) is not None:
            changes = (*hold.charges, *hold.replaces)
        for change in changes:
            found.add((change.account, change.window))
    return sorted(found)


def _hold_of(entry: Entry) -> Hold | None:
    if type(entry) is Decided:
        return entry.hold
    return entry if type(entry) is Hold else None


class Balances:
    """The balances of a batch's accounts, while the batch is counted."""

    def __init__(self, found: Mapping[Account, Balance]) -> None:
        self._balances = {account: list(balance) for account, balance in found.items()}

    def rows(self) -> list[Sequence[Any]]:
        """Every account with its window, spent and held, in order."""
        return [
            (*account, spent, held) for account, (spent, held) in sorted(self._balances.items())
        ]

    def apply(self, entries: Sequence[Entry]) -> dict[int, BudgetExceeded]:
        """Count a batch, settlements first, since they make room. Returns the refused, by place."""
        refused: dict[int, BudgetExceeded] = {}
        if not self._balances:
            return refused  # no entry counts against a budget
        for entry in entries:
            if type(entry) is Settlement:
                self._settle(entry)
        for index, entry in enumerate(entries):
            hold = _hold_of(entry)
            if hold is not None and (error := self._admit(hold)) is not None:
                refused[index] = error
        return refused

    def _settle(self, end: Settlement) -> None:
        for use in end.uses:
            balance = self._balances[use.account, use.window]
            balance[0] += use.spent
            balance[1] -= use.held

    def _admit(self, hold: Hold) -> BudgetExceeded | None:
        self._change(hold.replaces, -1)
        full = [c for c in hold.charges if not self._fits(c)]
        if full:
            self._change(hold.replaces, 1)
            return refusal([self._standing(c) for c in full])
        self._change(hold.charges, 1)
        return None

    def _change(self, charges: Sequence[Charge], sign: int) -> None:
        for charge in charges:
            self._balances[charge.account, charge.window][1] += sign * (charge.amount or 0)

    def _fits(self, charge: Charge) -> bool:
        if charge.amount is None:
            return False  # an unknown price may become any amount
        spent, held = self._balances[charge.account, charge.window]
        # An entry that uses nothing, such as a refusal, passes even a full budget.
        return not charge.amount or spent + held + charge.amount <= charge.budget.limit

    def _standing(self, charge: Charge) -> Standing:
        spent, held = self._balances[charge.account, charge.window]
        return Standing(
            budget=charge.budget,
            subject=charge.subject,
            window_id=charge.window,
            resets_ms=charge.resets_ms,
            spent=spent,
            held=held,
            needed=charge.amount,
        )


def refusal(standings: Sequence[Standing]) -> BudgetExceeded:
    """The error that names each full budget with its numbers."""
    if any(standing.needed is None for standing in standings):
        message = "a model of unknown price cannot be used within a budget; give it a price"
    else:
        full = "; ".join(standing.line() for standing in standings)
        message = f"budget used up: {full}"
        if any(standing.left and standing.budget.unit != "requests" for standing in standings):
            message = f"the request may use more than is left: {full}; ask for a shorter answer"
    return BudgetExceeded(message, standings)
