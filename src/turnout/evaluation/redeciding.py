"""What other rules would have decided on the requests in a ledger, and what that would have cost.

A recorded decision holds all that ``decide`` needs but the text: the classifier's verdict and the
predictor's P(success) are those of then, and so are outages, cooldowns and warm caches. An answer
is assumed to have the same text at another model, as in ``ledger.twins``.

Invariant: no model is called and nothing is written.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from msgspec import Struct, structs

from turnout.catalog import Catalog
from turnout.core import (
    EMBEDDING,
    ConfigError,
    Decision,
    Features,
    InvalidRequest,
    Request,
    Snapshot,
    Usage,
)
from turnout.core.cooldown import probe_among
from turnout.decision import Rulebook, decide
from turnout.evaluation.off_policy import Estimate, Sample, estimate, weight
from turnout.ledger import Store, unpack
from turnout.ledger.pricing import STATED
from turnout.ledger.twins import MILLION, Answer, twin_costs
from turnout.policies import Explore, Rules

BLOCKED, NO_MODEL, REFUSED = "blocked", "no model", "refused"
Opinions = dict[str, dict[str, float]]
_PAGE = 1_000
_FEEDBACK = "SELECT id, metric, avg(value_micro) FROM feedback GROUP BY id, metric ORDER BY metric"
# A call that failed in the middle of its answer counts if no other answered. A stand-in has the
# price of the embedded model.
_REQUESTS = """
    SELECT r.id, d.record, s.cost,
        coalesce(s.answered, 0) = 1 AND s.unknown_calls = 0
            AND NOT (p.provider = 'embedded' AND p.model <> c.model),
        (SELECT sum(l.cost) FROM calls AS l WHERE l.id = r.id AND l.role = 'classifier'),
        b.cost IS NOT NULL AND p.source <> $1,
        c.deployment, c.cost, c.input, c.cache_read, c.cache_write, c.output, c.reasoning
    FROM requests AS r JOIN decisions AS d ON d.id = r.id
    LEFT JOIN settlements AS s ON s.id = r.id AND s.n =
        (SELECT max(n) FROM settlements WHERE id = r.id)
    LEFT JOIN calls AS c ON c.id = r.id AND c.n = (SELECT n FROM calls WHERE id = r.id
        AND role NOT IN ('classifier', 'verifier') ORDER BY status = 'failed', n DESC LIMIT 1)
    LEFT JOIN prices AS p ON p.id = c.price
    LEFT JOIN beside_text AS b ON b.id = c.id AND b.n = c.n
    WHERE r.id > $2 AND r.at_ms >= $3 ORDER BY r.id LIMIT $4"""


class _Account(NamedTuple):
    """What a request cost, in pico-dollars, and the call that answered it."""

    spent: int
    comparable: bool
    labels: int | None
    beyond_text: bool
    deployment: str
    answer: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int

    @property
    def usage(self) -> Usage:
        return Usage(
            input=self.input,
            cache_read=self.cache_read,
            cache_write=self.cache_write,
            output=self.output,
            reasoning=self.reasoning,
            unpriced=bool(self.beyond_text),
        )


class Redecided(Struct, frozen=True, kw_only=True):
    """One request. ``now`` is None, with the reason in ``refusal``, if the rules refuse it.

    A request without a session is one of its own.
    The costs are those of the whole request in pico-dollars; both are None where they cannot be
    compared: no answer, an unknown price, a stand-in, or a draft whose verdict nobody knows.
    """

    session: str
    then: Decision
    now: Decision | None
    refusal: str = ""
    then_pico_usd: int | None = None
    now_pico_usd: int | None = None


@dataclass(slots=True, kw_only=True)
class Move:
    """The requests that went ``then`` to one model, or nowhere, and would ``now`` go to another.

    The costs are the sums of the ``compared`` ones, in pico-dollars. ``example`` is the decision of
    the latest request, ``why`` the reason of its new decision.
    """

    then: str
    now: str
    requests: int = 0
    compared: int = 0
    then_pico_usd: int = 0
    now_pico_usd: int = 0
    example: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All moves, those of most requests first.

    The qualities are the mean expected ones of the ``rated`` requests, for which both are known.
    ``feedback`` has an estimate for each metric.
    """

    moves: Sequence[Move]
    rated: int
    quality_then: float | None
    quality_now: float | None
    feedback: Sequence[Estimate] = ()

    @property
    def changes(self) -> list[Move]:
        """The moves of requests that would go elsewhere."""
        return [move for move in self.moves if move.then != move.now]

    @property
    def total(self) -> Move:
        """All requests together."""
        return total_of(self.moves)

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON-ready values; amounts are pico-dollars."""
        total, names = self.total, ("requests", "compared", "then_pico_usd", "now_pico_usd")
        return {
            **{name: getattr(total, name) for name in names},
            "changed": total_of(self.changes).requests,
            "rated": self.rated,
            "quality_then": self.quality_then,
            "quality_now": self.quality_now,
            "feedback": [asdict(one) for one in self.feedback],
            "moves": [asdict(move) for move in self.moves],
        }


def total_of(moves: Sequence[Move]) -> Move:
    """The sums of the moves, without names, reason and example."""
    return Move(
        then="",
        now="",
        requests=sum(move.requests for move in moves),
        compared=sum(move.compared for move in moves),
        then_pico_usd=sum(move.then_pico_usd for move in moves),
        now_pico_usd=sum(move.now_pico_usd for move in moves),
    )


def check_replayable(rules: Rulebook) -> None:
    """Raises ConfigError for rules that read what the ledger does not keep."""
    main = rules.policy.below if isinstance(rules.policy, Explore) else rules.policy
    for policy in (main, *rules.policies.values()):
        for rule in policy.rules if isinstance(policy, Rules) else ():
            if rule.keywords or rule.pattern or rule.tags:
                raise ConfigError(
                    f"rule {rule.name!r} reads the text or the tags of requests, which the ledger "
                    "does not keep; leave it out to decide recorded requests again"
                )


def decide_again(store: Store, rules: Rulebook, since_ms: int = 0) -> Iterator[Redecided]:
    """Every recorded request since then, but for embeddings, in the order of their ids."""
    last = ""
    while page := store.fetch(_REQUESTS, (STATED.source, last, since_ms, _PAGE)):
        last = page[-1][0]
        for _, record, *account in page:
            request, then = unpack(record)
            if then.prediction != EMBEDDING:
                yield _redecided(request, then, rules, _Account(*account))


def opinions_in(store: Store) -> Opinions:
    """The feedback in a ledger: the mean of each metric, by request."""
    found: Opinions = {}
    for id_, metric, value_micro in store.fetch(_FEEDBACK):
        found.setdefault(id_, {})[metric] = float(value_micro) / MILLION
    return found


def compare(requests: Iterable[Redecided], opinions: Opinions) -> Comparison:
    """The requests by where they went, and would go, and their feedback."""
    moves: dict[tuple[str, str], Move] = {}
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    qualities: list[tuple[float, float]] = []
    for one in requests:
        key = _place(one.then), _place(one.now)
        move = moves.setdefault(key, Move(then=key[0], now=key[1]))
        move.requests += 1
        move.example, move.why = one.then.id, one.refusal or (one.now.reason if one.now else "")
        if one.then_pico_usd is not None and one.now_pico_usd is not None:
            move.compared += 1
            move.then_pico_usd += one.then_pico_usd
            move.now_pico_usd += one.now_pico_usd
        for metric, value in opinions.get(one.then.id, {}).items():
            samples[metric].append(Sample(value, weight(one.then, one.now), one.session))
        then, now = _quality(one.then), _quality(one.now)
        if then is not None and now is not None:
            qualities.append((then, now))
    means = [sum(side) / len(qualities) for side in zip(*qualities, strict=True)]
    quality_then, quality_now = means or (None, None)
    return Comparison(
        moves=sorted(moves.values(), key=lambda move: -move.requests),
        rated=len(qualities),
        quality_then=quality_then,
        quality_now=quality_now,
        feedback=[estimate(metric, found) for metric, found in samples.items()],
    )


def _redecided(request: Request, then: Decision, rules: Rulebook, account: _Account) -> Redecided:
    features, snapshot = _counted(then.features, rules.catalog), _with_probe(then, rules.catalog)
    session = request.session or request.id
    try:
        now = decide(request, features, then.prediction, snapshot, rules)
    except InvalidRequest as error:
        return Redecided(session=session, then=then, now=None, refusal=str(error))
    cost = _cost_now(then, now, rules.catalog, account) if account.comparable else None
    spent = None if cost is None else account.spent
    return Redecided(session=session, then=then, now=now, then_pico_usd=spent, now_pico_usd=cost)


def _with_probe(then: Decision, catalog: Catalog) -> Snapshot:
    """What was known then; if now all deployments would be closed, with one of them to try.

    If none was open then either, it was known whether one could be tried.
    """
    snapshot = then.snapshot
    closed = {name: why for name, why in snapshot.unavailable.items() if not why.comes_last}
    if not catalog.deployments.keys() <= closed.keys():
        return snapshot
    if all(candidate.deployment in closed for candidate in then.candidates):
        return snapshot
    probe = probe_among({name: closed[name] for name in catalog.deployments})
    unavailable = {name: why for name, why in snapshot.unavailable.items() if name != probe}
    return structs.replace(snapshot, unavailable=unavailable)


def _counted(features: Features, catalog: Catalog) -> Features:
    """The features with a count for every tokenizer: the highest known one where none was made."""
    counts = features.input_tokens
    missing = {d.card.tokenizer for d in catalog.deployments.values()} - counts.keys()
    if not missing:
        return features
    most = max(counts.values(), default=0)
    return structs.replace(features, input_tokens={**counts, **dict.fromkeys(missing, most)})


def _cost_now(then: Decision, now: Decision, catalog: Catalog, account: _Account) -> int | None:
    """What the request would have cost in pico-dollars; None if that is unknown."""
    labels = account.labels or 0
    if now.blocked:
        return labels
    if not now.routes:
        return None
    first, before = now.routes[0], then.routes[0]
    if (first.deployment, first.role) == (before.deployment, before.role):
        return account.spent
    if first.role == "draft":
        return None
    if first.deployment == account.deployment:
        return labels + account.answer
    deployment = catalog.deployments[first.deployment]
    answer = Answer(
        # Of a model that is no longer configured, nobody knows how it counts: its counts are kept.
        deployment=catalog.deployments.get(account.deployment, deployment),
        usage=account.usage,
        cost_pico_usd=account.answer,
        request_pico_usd=account.spent,
    )
    twin = twin_costs(then, answer, [deployment])[deployment.id]
    return None if twin is None else labels + twin


def _place(decision: Decision | None) -> str:
    if decision is None:
        return REFUSED
    return BLOCKED if decision.blocked else decision.model or NO_MODEL


def _quality(decision: Decision | None) -> float | None:
    if decision is None or decision.deployment is None:
        return None
    return decision.candidate_at(decision.deployment).quality
