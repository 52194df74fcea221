"""A receipt adds up every call of a request, and says which model answered."""

from typing import Any

from tests.worlds import NOW, catalog, deployment, features, prediction, request, rulebook
from turnout.core import Decision, Outcome, Route, Usage
from turnout.decision import decide
from turnout.runtime.receipt import Receipt, receipt

USAGE = Usage(input=10, output=100)
AT_CODER, AT_STRONG = 10 * 2 * 10**6 + 100 * 4 * 10**6, 10 * 10 * 10**6 + 100 * 30 * 10**6
CARDS = catalog()


def decided() -> Decision:
    """A decision for the model that is best at code."""
    return decide(request(), features(), prediction("code"), NOW, rulebook())


def called(
    name: str, cost: int | None, role: Any = "primary", status: Any = "ok", **more: Any
) -> Outcome:
    """A call that ended."""
    route = Route(name, f"model-{name}", "p", role, 0)
    return Outcome(
        decision_id="d", route=route, status=status, ordinal=0, cost_pico_usd=cost, **more
    )


def of(*outcomes: Outcome, cards: Any = CARDS, stand_in: Any = None) -> Receipt:
    """The receipt for these calls."""
    return receipt(decided(), outcomes, cards, stand_in)


def test_every_call_is_paid_and_the_last_answer_is_the_answer() -> None:
    """Labels, rejected drafts and verdicts cost as well; tokens are compared as they were."""
    found = of(
        called("fast", 1, "classifier", usage=Usage(input=1)),
        called("coder", 20, "draft", "failed", usage=Usage(input=2)),
        called("strong", AT_STRONG, usage=USAGE, model="model-strong-2"),
        called("fast", 300, "verifier", usage=Usage(input=3)),
    )
    assert found == Receipt(
        chosen_model="model-strong",
        answered_by="model-strong-2",
        stand_in=False,
        usage=USAGE,
        cost_pico_usd=AT_STRONG + 321,
        classifier_pico_usd=1,
        list_cost_pico_usd=AT_STRONG + 321,
        strongest_pico_usd=AT_STRONG,
    )


def test_an_answer_that_broke_off_is_the_answer() -> None:
    """Its caller has what came of it; of one that failed before, nobody has anything."""
    broken = called("coder", 7, status="failed", usage=USAGE, model="model-coder", released=True)
    failed = called("fast", 5, status="failed", usage=Usage(input=1))
    found = of(broken, failed)
    assert (found.chosen_model, found.answered_by, found.usage) == (
        "model-coder", "model-coder", USAGE,
    )  # fmt: skip
    assert (found.cost_pico_usd, found.list_cost_pico_usd) == (12, 12)


def test_without_an_answer_what_was_tried_is_paid() -> None:
    """The chosen model is the decision's, and nothing is compared."""
    found = of(called("fast", 3, "classifier"), called("strong", 40, status="failed"))
    assert found == Receipt(
        chosen_model="model-coder",
        answered_by=None,
        stand_in=False,
        usage=Usage(),
        cost_pico_usd=43,
        classifier_pico_usd=3,
        list_cost_pico_usd=43,
        strongest_pico_usd=0,
    )
    assert of(called("strong", 1, status="failed"), stand_in=CARDS.deployments["fast"]) == of(
        called("strong", 1, status="failed")
    )


def test_a_stand_in_is_free_but_not_on_the_list() -> None:
    """What the chosen model would have cost is told beside what was paid."""
    found = of(called("coder", 0, usage=USAGE), stand_in=CARDS.deployments["fast"])
    assert (found.stand_in, found.cost_pico_usd) == (True, 0)
    assert (found.list_cost_pico_usd, found.strongest_pico_usd) == (AT_CODER, AT_STRONG)


def test_an_unknown_price_makes_the_sum_unknown() -> None:
    """Never smaller: whether it is the label's, a failed call's or the answer's."""
    answer = called("coder", AT_CODER, usage=USAGE)
    labelled = of(called("unpriced", None, "classifier"), answer)
    assert (labelled.cost_pico_usd, labelled.classifier_pico_usd) == (None, None)
    assert labelled.list_cost_pico_usd is None
    failed = of(called("unpriced", None, status="failed"), answer)
    assert (failed.cost_pico_usd, failed.list_cost_pico_usd) == (None, None)
    assert (failed.classifier_pico_usd, failed.strongest_pico_usd) == (0, AT_STRONG)
    answered = of(
        called("unpriced", None, usage=USAGE), cards=catalog(deployment("unpriced", None))
    )
    assert (answered.cost_pico_usd, answered.list_cost_pico_usd) == (None, None)
    assert answered.strongest_pico_usd is None
