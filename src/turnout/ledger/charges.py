"""Which budgets a request counts against, and how much of each its hold and its calls use.

Pure: the rules, the time and the calls are arguments.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce

from turnout.core import Bound, Budget, Request, window_of
from turnout.core.budget import sum_of_bounds
from turnout.ledger.entries import Call, Charge, Use

Spent = tuple[str, int | None, int]  # a call's deployment, its cost in pico-dollars, its tokens


class Limits:
    """Budgets by what they are for.

    A budget with a name replaces the nameless one for the same window and unit.
    """

    def __init__(self, budgets: Iterable[Budget] = ()) -> None:
        self.budgets = tuple(budgets)
        self._named: dict[tuple[str, str | None], dict[tuple[str, str], Budget]] = {}
        for budget in self.budgets:
            known = self._named.setdefault((budget.per, budget.name), {})
            known[budget.window, budget.unit] = budget

    def __bool__(self) -> bool:
        return bool(self.budgets)

    def applying_to(self, per: str, subject: str, name: str | None = None) -> Iterable[Budget]:
        """The budgets that apply to a subject, whose name in them is ``name``."""
        general, own = self._named.get((per, None)), self._named.get((per, name or subject))
        if own is None:
            return () if general is None else general.values()
        return own.values() if general is None else {**general, **own}.values()

    def charges(
        self,
        request: Request,
        bounds: Mapping[str, Bound],
        spent: Sequence[Spent],
        at_ms: int,
        *,
        requests: int = 1,
        before: Collection[Charge] = (),
    ) -> tuple[Charge, ...]:
        """What a hold takes of every budget: what is ``spent``, and the most that one call may use.

        ``bounds`` has that most for each deployment in the plan; ``requests`` is 0 for a request
        that is not carried out. ``before`` is what was held so far: a model that is no longer in
        the plan keeps what it has spent.
        """
        if not self._named:
            return ()
        most = _worst_case(bounds.values(), spent)
        found = [
            _charge(budget, subject, most, requests, at_ms)
            for per, subject, name in _subjects(request)
            for budget in self.applying_to(per, subject, name)
        ]
        held = (charge.subject for charge in before if charge.budget.per == "model")
        by_model: dict[str, list[Bound]] = {model: [] for model in held if _calls_of(model, spent)}
        for deployment, bound in bounds.items():
            if bound.parts is None:
                by_model.setdefault(model_of(deployment), []).append(bound)
            else:
                for model, part in _by_model(bound.parts).items():
                    by_model.setdefault(model, []).append(part)
        for model, parts_of_model in by_model.items():
            calls = _calls_of(model, spent)
            most, count = _worst_case(parts_of_model, calls), 1 if calls else requests
            found += [
                _charge(budget, model, most, count, at_ms)
                for budget in self.applying_to("model", model)
            ]
        return tuple(found)


def _subjects(request: Request) -> Iterable[tuple[str, str, str]]:
    """What the request counts against: the kind, the subject, and the subject's name in budgets."""
    yield "all", "all", "all"
    caller = request.caller
    if caller is not None:
        yield from (("key", key, key) for key in caller.keys or (caller.key,))
        if caller.team is not None:
            yield "team", caller.team, caller.team
    if request.session is not None:
        # Callers choose the names of sessions: two tenants may use the same one.
        session = f"{request.tenant}/{request.session}" if request.tenant else request.session
        yield "session", session, request.session


def model_of(deployment: str) -> str:
    """A deployment's model: its id without ``#2``, ``#3``, … at the end."""
    return deployment.partition("#")[0]


def _calls_of(model: str, calls: Iterable[Spent]) -> list[Spent]:
    return [call for call in calls if model_of(call[0]) == model]


def _by_model(parts: Mapping[str, Bound]) -> dict[str, Bound]:
    """What calls that are made together use of each model."""
    found: dict[str, Bound] = {}
    for deployment, part in parts.items():
        model = model_of(deployment)
        found[model] = sum_of_bounds(found[model], part) if model in found else part
    return found


def _worst_case(bounds: Collection[Bound], calls: Iterable[Spent]) -> Bound:
    """What the calls used, and the most that one more may use."""
    most = Bound(highest_cost(bounds), max((bound.tokens for bound in bounds), default=0))
    return reduce(sum_of_bounds, (Bound(cost, tokens) for _, cost, tokens in calls), most)


def highest_cost(bounds: Collection[Bound]) -> int | None:
    """The most that one call can cost, in pico-dollars; None if any price is unknown."""
    known = [cost for bound in bounds if (cost := bound.cost_pico_usd) is not None]
    return max(known, default=0) if len(known) == len(bounds) else None


def _charge(budget: Budget, subject: str, most: Bound, requests: int, at_ms: int) -> Charge:
    window, resets_ms = window_of(budget.window, at_ms)
    if budget.unit == "requests":
        amount: int | None = requests
    else:
        amount = most.cost_pico_usd if budget.unit == "usd" else most.tokens
    account = f"{budget.per}:{subject}:{budget.unit}"
    return Charge(account, window, amount, subject, budget, resets_ms)


def uses(held: Sequence[tuple[str, str, int]], calls: Sequence[Spent]) -> tuple[Use, ...]:
    """For each (account, window, amount) of a hold, how much of it the calls used.

    A call of unknown cost used all that was held.
    """
    return tuple([Use(*line, _used(line[0], line[2], calls)) for line in held])


def spent_of(calls: Iterable[Call]) -> list[Spent]:
    """What each call used."""
    return [(call.deployment, call.cost_pico_usd, sum(call.tokens)) for call in calls]


def _used(account: str, held: int, calls: Sequence[Spent]) -> int:
    rest, _, unit = account.rpartition(":")
    per, _, subject = rest.partition(":")
    calls_of_subject = _calls_of(subject, calls) if per == "model" else calls
    if unit == "requests":
        # A model in the plan that was not called has not used a request.
        return held if calls_of_subject or per != "model" else 0
    if unit == "tokens":
        return sum(tokens for _, _, tokens in calls_of_subject)
    known = [cost for _, cost, _ in calls_of_subject if cost is not None]
    return sum(known) if len(known) == len(calls_of_subject) else max(held, sum(known))
