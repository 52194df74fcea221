"""Which deployments can take a call now: cooldowns, slow start, retry budgets, limits.

Invariant: a deployment that keeps failing gets no calls for a time that grows, then one call, and
more as these succeed; retries are a bounded share of its calls. Sources: the circuit breaker of
Nygard ("Release It!"), the retry budget of Finagle and the slow start of Envoy.
This module does not know requests or policies; its clock is an argument.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, time

from turnout.catalog import Deployment
from turnout.core import Exclusion, Fault, FaultKind, Outcome
from turnout.core.cooldown import REPAIRABLE, TIMED, Cooldown, probe_among
from turnout.runtime.latency import Latencies

_LOG = logging.getLogger("turnout.runtime")
_TRANSIENT = frozenset({"unavailable", "timeout", "bad_response", "interrupted"})
_PERSISTENT = frozenset({"unauthorized", "no_credit", "not_found"})
# A deployment that recovers may have one call at a time, then 2, 4, ...; from here on, no limit.
_FULL_WINDOW = 64
# A cooldown is told to other processes again only when it ends so much later than they know.
_SHARE_AGAIN_S = 1.0
# For so long a choice counts as a call, should that call never begin.
_CHOICE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRules:
    """When and how long a deployment is left alone.

    So many ``failures`` in a row open its breaker for ``cooldown_s``, which doubles up to
    ``longest_s`` while it keeps failing; faults of its key, account or name open it at once, for
    ``lasting_s``. ``spend_limit_s`` is the time after its provider's spend limit was reached, None
    means until the next month begins, in UTC; ``rate_limit_s`` is the longest time that a rate
    limit may name, None means any. ``retry_share`` of the calls may be retries, besides
    ``retry_reserve`` free ones. It gets at most ``max_in_flight`` calls at a time.
    """

    failures: int = 5
    cooldown_s: float = 5.0
    longest_s: float = 300.0
    lasting_s: float = 60.0
    spend_limit_s: float | None = None
    rate_limit_s: float | None = None
    retry_share: float = 0.1
    retry_reserve: float = 3.0
    max_in_flight: int = 1000

    def growing_cooldown_s(self, openings: int) -> float:
        """The cooldown after so many in a row."""
        return min(self.cooldown_s * (1 << min(openings, 16)), self.longest_s)


@dataclass(slots=True)
class _State:
    """What is known of one deployment; times are on the clock.

    ``choices`` has, for each decision that chose it and whose call has not begun, the time until
    which it counts. It is closed until ``until``, for the reason ``why``; ``shared_until`` is the
    time that other processes know, and ``openings`` counts how often in a row it was closed.
    ``window`` is how many calls it may have at a time while it recovers, and ``probed`` says that
    its latest call was chosen while it was closed. Its rate limit is used up until ``spent_until``;
    other processes know of ``spent_shared_until``.
    """

    in_flight: int = 0
    choices: deque[float] = field(default_factory=deque)
    failures: int = 0
    openings: int = 0
    until: float = 0.0
    why: FaultKind = "unavailable"
    shared_until: float = 0.0
    probed: bool = False
    window: int = _FULL_WINDOW
    retry_tokens: float = 0.0
    spent_until: float = 0.0
    spent_shared_until: float = 0.0


class Health:
    """The state of every deployment, learned from calls as they begin and end."""

    def __init__(
        self,
        deployments: Mapping[str, Deployment],
        rules: HealthRules | None = None,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self._deployments = deployments
        self._rules = rules or HealthRules()
        self._clock = clock
        self._wall = wall
        reserve = self._rules.retry_reserve
        self._states = {name: _State(retry_tokens=reserve) for name in deployments}
        self._all_open = True
        self._by_fingerprint = {d.fingerprint: name for name, d in deployments.items()}
        self.on_cooldown: Callable[[Cooldown], object] = _ignore
        self.latencies = Latencies(clock)

    def unavailable(self, without: Collection[str] = ()) -> dict[str, Exclusion]:
        """Deployments that cannot take a call now, with the reason; ``without`` are closed anyway.

        When all cool down, the one that comes back first is left open as a probe, unless its
        provider has named a time. Deployments whose rate limit is used up are listed as well, by a
        reason that lets them come last.
        """
        if self._all_open:
            return {}
        now = self._clock()
        closed = {n: why for n, s in self._states.items() if (why := self._exclusion(s, now))}
        if closed and len({*closed, *without}) == len(self._states):
            idle = [n for n in closed if n not in without and not _calls(self._states[n], now)]
            probe = probe_among({n: closed[n] for n in idle})
            if probe is not None:
                del closed[probe]
        self._all_open = not any(self._is_limited(s, now) for s in self._states.values())
        spent = {
            n: _spent_exclusion(s.spent_until - now)
            for n, s in self._states.items()
            if s.spent_until > now
        }
        return {**spent, **closed}

    def take_over(self, old: "Health") -> None:
        """Take over what is known of deployments that have not changed.

        Failures that a changed configuration may have repaired are forgotten.
        """
        for deployment, state in old.states():
            name = deployment.id
            if self._deployments.get(name) != deployment:
                continue
            if name in old.latencies.latest:
                self.latencies.latest[name] = old.latencies.latest[name]
            if state.why not in REPAIRABLE:
                # The same one, since calls that the old one has under way count as well.
                self._states[name] = state
        self._all_open = False

    def states(self) -> "Iterator[tuple[Deployment, _State]]":
        """Each deployment with what is known of it."""
        return ((self._deployments[name], state) for name, state in self._states.items())

    def outstanding(self, names: Collection[str]) -> dict[str, int]:
        """The number of calls under way, or about to begin, at each of these deployments."""
        now = self._clock()
        return {name: _calls(self._states[name], now) for name in names}

    def cooling(self) -> dict[str, bool]:
        """For each deployment, whether it takes no call now; leaves none open as a probe."""
        now = self._clock()
        return {name: self._exclusion(s, now) is not None for name, s in self._states.items()}

    def waited_for(self) -> set[str]:
        """The deployments whose provider, or the calendar, has named a time that is still to come.

        Others that cool down may serve a walk that has no better route.
        """
        now = self._clock()
        return {n for n, s in self._states.items() if s.why in TIMED and s.until > now}

    def note_choice(self, deployment: str) -> None:
        """Note that a decision chose it: this counts as a call until that call begins.

        Otherwise all who arrive together would take the one place that it has.
        """
        state = self._states[deployment]
        state.choices.append(self._clock() + _CHOICE_S)
        self._note_limit(state)

    def drop_choice(self, deployment: str) -> None:
        """Note that the call of a choice will not begin."""
        choices = self._states[deployment].choices
        if choices:
            choices.pop()

    def call_began(self, deployment: str) -> None:
        """Note that a call begins, which adds its share to the retry budget."""
        state = self._states[deployment]
        state.in_flight += 1
        # What was chosen before it was closed is no probe: closing it forgets the choices.
        state.probed = bool(state.choices) and state.until > self._clock()
        if state.choices:
            state.choices.popleft()  # it has counted as a call since then
        else:
            self._note_limit(state)
        most = self._rules.retry_reserve + 10
        state.retry_tokens = min(most, state.retry_tokens + self._rules.retry_share)

    def call_ended(self, outcome: Outcome) -> None:
        """Note how a call ended."""
        state = self._states[outcome.route.deployment]
        state.in_flight -= 1
        fault = outcome.error
        if outcome.spent_s is not None:
            self._note_spent_limit(outcome.route.deployment, outcome.spent_s)
        if outcome.status == "ok" or (fault is not None and fault.kind == "rejected"):
            # A verifier said no to a draft: the deployment did answer.
            self._note_success(state)
            if outcome.is_answer:
                self.latencies.note(outcome)
        elif fault is not None:
            self._note_failure(outcome.route.deployment, fault)

    def apply_cooldown(self, cooldown: Cooldown) -> None:
        """Close a deployment, or put it last, as another process has found reason to do."""
        name = self._by_fingerprint.get(cooldown.deployment)
        if name is None:
            return
        state = self._states[name]
        if cooldown.comes_last:
            state.spent_until = state.spent_shared_until = cooldown.until_s
            self._all_open = False
            return
        if cooldown.until_s <= self._clock():
            return
        state.shared_until = max(state.shared_until, cooldown.until_s)
        if cooldown.until_s > state.until:
            state.until, state.why, state.window = cooldown.until_s, cooldown.why, 1
        state.openings = max(state.openings, cooldown.openings)
        state.failures = 0
        state.choices.clear()
        self._all_open = False

    def may_retry(self, deployment: str, *, stated: bool = False) -> bool:
        """Takes one retry from the deployment's budget; False if there is none left.

        ``stated`` says that its provider named a time to come back, which will be waited for.
        """
        state = self._states[deployment]
        if state.retry_tokens < 1 or (state.until > self._clock() and not stated):
            return False
        # The retry itself begins like any call, and must not add a share to the budget.
        state.retry_tokens -= 1 + self._rules.retry_share
        return True

    def _exclusion(self, state: _State, now: float) -> Exclusion | None:
        wait_s = state.until - now
        if wait_s > 0:
            detail = f"cooling down for {wait_s:.1f} s after {state.why}"
            back_s = None if state.why in REPAIRABLE else wait_s
            return Exclusion("cooling_down", detail, after=state.why, wait_s=back_s)
        calls = _calls(state, now)
        if calls >= self._limit(state):
            return Exclusion("at_limit", f"at its limit of {calls} calls", wait_s=0.0)
        return None

    def _note_limit(self, state: _State) -> None:
        if state.in_flight + len(state.choices) >= self._limit(state):
            self._all_open = False

    def _limit(self, state: _State) -> int:
        most = self._rules.max_in_flight
        return most if state.window >= _FULL_WINDOW else min(state.window, most)

    def _is_limited(self, state: _State, now: float) -> bool:
        busy = _calls(state, now) >= self._limit(state)
        return max(state.until, state.spent_until) > now or busy

    def _note_success(self, state: _State) -> None:
        state.failures = 0
        if state.why in TIMED and state.until > self._clock():
            return  # the call began before its provider named a time to come back
        state.until = state.shared_until = 0.0
        if state.window < _FULL_WINDOW:
            state.window *= 2
        else:
            state.openings = 0

    def _note_failure(self, name: str, fault: Fault) -> None:
        rules, state = self._rules, self._states[name]
        if fault.kind == "rate_limited":
            wait_s = rules.cooldown_s if fault.retry_after_s is None else fault.retry_after_s
            most_s = wait_s if rules.rate_limit_s is None else rules.rate_limit_s
            self._open(name, fault, min(wait_s, most_s))
        elif fault.kind == "spend_limit":
            # Only the operator or the calendar lifts it: no probe, and a log line for the operator.
            wait_s = rules.spend_limit_s or until_next_month_s(self._wall())
            self._open(name, fault, wait_s)
            fields = {"deployment": name, "out_for_s": round(wait_s)}
            _LOG.error("a provider's spend limit is reached", extra={"fields": fields})
        elif fault.kind in _PERSISTENT:
            self._open(name, fault, rules.lasting_s)
        elif (
            fault.kind in _TRANSIENT
            and fault.blame == "provider"
            and (state.probed or state.until <= self._clock())
        ):
            # A call that began before the deployment was closed tells nothing new.
            state.failures += 1
            if state.failures >= rules.failures or state.window < _FULL_WINDOW:
                self._open(name, fault, rules.growing_cooldown_s(state.openings))

    def _note_spent_limit(self, name: str, for_s: float) -> None:
        """Its provider's rate limit is used up for so long, for all deployments of its quota."""
        if not (for_s or self._states[name].spent_until):
            return
        quota, most_s = _quota(self._deployments[name]), self._rules.rate_limit_s
        wait_s = for_s if most_s is None else min(for_s, most_s)
        until = self._clock() + wait_s if wait_s else 0.0
        for other, deployment in self._deployments.items():
            if _quota(deployment) == quota:
                state = self._states[other]
                state.spent_until = until
                if abs(until - state.spent_shared_until) > _SHARE_AGAIN_S:
                    state.spent_shared_until = until
                    self._share(deployment, state, until, comes_last=True)
        self._all_open = self._all_open and not wait_s

    def _open(self, name: str, fault: Fault, wait_s: float) -> None:
        """Closes the deployment, and those of its quota or provider if the fault is theirs, too."""
        failed = self._deployments[name]
        for other, deployment in self._deployments.items():
            shared = fault.kind == "rate_limited" and _quota(deployment) == _quota(failed)
            whole = fault.scope == "provider" and deployment.provider.name == failed.provider.name
            if other == name or shared or whole:
                state = self._states[other]
                state.until = max(state.until, self._clock() + wait_s)
                state.why = fault.kind
                state.openings += 1
                state.failures = 0
                state.choices.clear()
                state.window = 1
                self._share_closed(deployment, state)
        self._all_open = False

    def _share_closed(self, deployment: Deployment, state: _State) -> None:
        """Tells other processes, unless they know it to be closed for about as long."""
        if state.until > state.shared_until + _SHARE_AGAIN_S:
            state.shared_until = state.until
            self._share(deployment, state, state.until)

    def _share(
        self, deployment: Deployment, state: _State, until: float, *, comes_last: bool = False
    ) -> None:
        self.on_cooldown(
            Cooldown(
                deployment=deployment.fingerprint,
                until_s=until,
                why="rate_limited" if comes_last else state.why,
                openings=state.openings,
                comes_last=comes_last,
            )
        )


def _calls(state: _State, now: float) -> int:
    """The calls under way, and those about to begin."""
    while state.choices and state.choices[0] <= now:
        state.choices.popleft()
    return state.in_flight + len(state.choices)


def _spent_exclusion(wait_s: float) -> Exclusion:
    return Exclusion(
        "limit_spent", f"nothing left of its rate limit for {wait_s:.1f} s", wait_s=wait_s
    )


def _ignore(cooldown: Cooldown) -> None:
    """For a process that has no others beside it."""


def until_next_month_s(now: float) -> float:
    """Seconds from ``now`` (since the epoch) to the first of the next month in UTC."""
    day = datetime.fromtimestamp(now, UTC)
    year, month = (day.year + 1, 1) if day.month == 12 else (day.year, day.month + 1)
    return datetime(year, month, 1, tzinfo=UTC).timestamp() - now


def _quota(deployment: Deployment) -> str:
    """What shares a rate limit: the configured quota, else the model at its provider."""
    return deployment.quota or f"{deployment.provider.name}/{deployment.model}"
