"""Which budgets a request counts for, and how much of each its hold and its calls take.

Pure: the rules, the time and the calls come in as arguments.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from turnout.core import Bound, Budget, Request, window_of
from turnout.core.budget import plus
from turnout.ledger.entries import Call, Charge, Use

Spent = tuple[str, int | None, int]  # a call's deployment, its cost in pico-dollars, its tokens


class Limits:
    """Budgets by whom they are for.

    A budget with a name takes the place of the nameless one for the same window and unit.
    """

    def __init__(self, budgets: Iterable[Budget] = ()) -> None:
        self.budgets = tuple(budgets)
        self._named: dict[tuple[str, str | None], dict[tuple[str, str], Budget]] = {}
        for budget in self.budgets:
            known = self._named.setdefault((budget.per, budget.name), {})
            known[budget.window, budget.unit] = budget

    def __bool__(self) -> bool:
        return bool(self.budgets)

    def of(self, per: str, subject: str, name: str | None = None) -> Iterable[Budget]:
        """The budgets that apply to one subject; ``name`` is what it is called in them."""
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
        """What a hold takes of every budget: the most of any one call, and what is ``spent``.

        ``bounds`` has the most that a call of each deployment in the plan may use; ``requests`` is
        0 for one that is not carried out. ``before`` is what was held until now, of which a model
        keeps what it has spent though it is in the plan no more.
        """
        if not self._named:
            return ()
        most = _most(bounds.values(), spent)
        found = [
            _charge(budget, subject, most, requests, at_ms)
            for per, subject, name in _subjects(request)
            for budget in self.of(per, subject, name)
        ]
        held = (charge.subject for charge in before if charge.budget.per == "model")
        own: dict[str, list[Bound]] = {model: [] for model in held if _of_model(model, spent)}
        for deployment, bound in bounds.items():
            if bound.parts is None:
                own.setdefault(model_of(deployment), []).append(bound)
            else:
                for model, part in _by_model(bound.parts).items():
                    own.setdefault(model, []).append(part)
        for model, mine in own.items():
            calls = _of_model(model, spent)
            most, asked = _most(mine, calls), 1 if calls else requests
            found += [
                _charge(budget, model, most, asked, at_ms) for budget in self.of("model", model)
            ]
        return tuple(found)


def _subjects(request: Request) -> Iterable[tuple[str, str, str]]:
    """What it counts for: of which kind, what is counted, what that is called in a budget."""
    yield "all", "all", "all"
    caller = request.caller
    if caller is not None:
        yield from (("key", key, key) for key in caller.keys or (caller.key,))
        if caller.team is not None:
            yield "team", caller.team, caller.team
    if request.session is not None:
        # A session's name is the caller's own: two tenants may use the same.
        session = f"{request.tenant}/{request.session}" if request.tenant else request.session
        yield "session", session, request.session


def model_of(deployment: str) -> str:
    """A model's name: its deployments are it, and it with ``#2``, ``#3``, …."""
    return deployment.partition("#")[0]


def _of_model(model: str, calls: Iterable[Spent]) -> list[Spent]:
    return [call for call in calls if model_of(call[0]) == model]


def _by_model(parts: Mapping[str, Bound]) -> dict[str, Bound]:
    """What calls that come together use of each model."""
    found: dict[str, Bound] = {}
    for deployment, part in parts.items():
        model = model_of(deployment)
        found[model] = plus(found[model], part) if model in found else part
    return found


def _most(bounds: Iterable[Bound], calls: Iterable[Spent]) -> Bound:
    spent = _total_of(calls)
    cost: int | None = spent.cost_pico_usd
    tokens, dearest = 0, 0
    for bound in bounds:
        tokens = max(tokens, bound.tokens)
        if bound.cost_pico_usd is None:
            cost = None
        else:
            dearest = max(dearest, bound.cost_pico_usd)
    return Bound(None if cost is None else cost + dearest, spent.tokens + tokens)


def dearest(bounds: Iterable[Bound]) -> int | None:
    """Upper bound in pico-dollars of any one call; None when one's price is unknown."""
    most = 0
    for bound in bounds:
        if bound.cost_pico_usd is None:
            return None
        most = max(most, bound.cost_pico_usd)
    return most


def _charge(budget: Budget, subject: str, most: Bound, requests: int, at_ms: int) -> Charge:
    window, resets_ms = window_of(budget.window, at_ms)
    if budget.unit == "requests":
        amount: int | None = requests
    else:
        amount = most.cost_pico_usd if budget.unit == "usd" else most.tokens
    account = f"{budget.per}:{subject}:{budget.unit}"
    return Charge(account, window, amount, subject, budget, resets_ms)


def uses(held: Sequence[tuple[str, str, int]], calls: Sequence[Spent]) -> tuple[Use, ...]:
    """What became of a hold's (account, window, amount): how much of it the calls have used.

    A call of unknown cost has used all that was held.
    """
    return tuple([Use(*line, _used(line[0], line[2], calls)) for line in held])


def spent_of(calls: Iterable[Call]) -> list[Spent]:
    """What each call has used."""
    return [
        (c.deployment, c.cost_pico_usd,
         c.input + c.cache_read + c.cache_write + c.output + c.reasoning)
        for c in calls
    ]  # fmt: skip


def _total_of(calls: Iterable[Spent]) -> Bound:
    """What calls have used together; an unknown cost makes the sum unknown."""
    cost: int | None = 0
    tokens = 0
    for _, one, used in calls:
        cost = None if cost is None or one is None else cost + one
        tokens += used
    return Bound(cost, tokens)


def _used(account: str, held: int, calls: Sequence[Spent]) -> int:
    rest, _, unit = account.rpartition(":")
    per, _, subject = rest.partition(":")
    mine = _of_model(subject, calls) if per == "model" else calls
    if unit == "requests":
        # A model in the plan that was not called had no request.
        return held if mine or per != "model" else 0
    if unit == "tokens":
        return sum(tokens for _, _, tokens in mine)
    known = [cost for _, cost, _ in mine if cost is not None]
    return sum(known) if len(known) == len(mine) else max(held, sum(known))
