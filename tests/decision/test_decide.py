"""decide() is pure, explains every candidate and never falls open."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.worlds import (
    NOW,
    anthropic,
    catalog,
    deployment,
    features,
    prediction,
    price,
    request,
    rulebook,
)
from turnout.core import (
    Constraints,
    Decision,
    Exclusion,
    InvalidRequest,
    Prediction,
    Snapshot,
)
from turnout.decision import bound, decide


def decision_for(**more: Any) -> Decision:
    """The decision in the small world, with some of its arguments replaced."""
    return decide(
        more.get("request", request()),
        more.get("features", features()),
        more.get("prediction", prediction()),
        more.get("snapshot", NOW),
        more.get("rules", rulebook()),
    )


@pytest.mark.parametrize(
    ("intent", "chosen"), [("simple_qa", "fast"), ("creative", "strong"), ("code", "coder")]
)
def test_the_recipe_sends_each_intent_to_its_model(intent: str, chosen: str) -> None:
    """A label chooses its model, and the others follow as fallbacks, cheapest first."""
    decision = decision_for(prediction=prediction(intent))
    assert decision.deployment == chosen
    assert [r.role for r in decision.routes] == ["primary", "fallback", "fallback"]
    assert decision.intent == intent


def test_an_unmapped_intent_goes_to_the_default() -> None:
    """A label that the map does not know is served by the default, and says so."""
    decision = decision_for(prediction=prediction("translation"))
    assert decision.deployment == "fast"
    assert "translation is not mapped" in decision.reason


def test_writing_is_served_as_creative_where_only_the_recipe_is_configured() -> None:
    """A finer label folds into its parent, and their probabilities add up."""
    both = structs.replace(
        prediction(), intents=(("simple_qa", 0.4), ("writing", 0.35), ("creative", 0.25))
    )
    decision = decision_for(prediction=both)
    assert (decision.intent, decision.deployment) == ("creative", "strong")
    assert decision.confidence == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("guess", "intents", "served"),
    [
        (prediction("code", label="creative"), ("code", "creative"), ("creative", 1)),
        (prediction("writing"), ("creative", "writing"), ("writing", 0.9)),
        (prediction("writing"), ("code",), ("writing", 0.9)),
        (prediction("writing"), ("creative",), ("creative", 0.9)),
        (prediction("code", label_failure="timeout"), ("code",), ("unknown", 0)),
        (prediction(None), ("code",), ("unknown", 0)),
    ],
    ids=[
        "a label wins",
        "both configured",
        "no parent",
        "parent alone",
        "failed label",
        "no intents",
    ],
)
def test_the_intent_is_the_label_or_the_likeliest(
    guess: Prediction, intents: tuple[str, ...], served: tuple[str, float]
) -> None:
    """As sure as its score is; a label is certain, and without either there is no intent."""
    rules = replace(rulebook(), intents=frozenset(intents))
    decision = decision_for(prediction=guess, rules=rules)
    assert (decision.intent, decision.confidence) == served


def test_a_missing_label_goes_to_the_default_and_local_safety_still_decides() -> None:
    """A label classifier that failed takes routing to the default, not safety."""
    missed = prediction("creative", label_failure="timeout")
    assert decision_for(prediction=missed).deployment == "fast"
    harmful = prediction("creative", unsafe=0.9, label_failure="timeout")
    assert decision_for(prediction=harmful).blocked


@pytest.mark.parametrize(
    "unsafe",
    [
        prediction("code", unsafe=0.9),
        prediction("code", unsafe=0.5),
        prediction("code", unsafe=0.01, label="unsafe"),
        prediction(None, unsafe=None),
        prediction("code", unsafe=None, label="code"),
        prediction("code", injection=float("nan")),
        prediction("code", unsafe=float("nan"), injection=0.0),
    ],
    ids=["score", "threshold", "label", "no verdict", "label alone", "injection nan", "harm nan"],
)
def test_unsafe_is_blocked_before_any_model(unsafe: Any) -> None:
    """A score at the threshold or that is no number, an unsafe label, or no score at all."""
    decision = decision_for(prediction=unsafe)
    assert decision.blocked
    assert decision.routes == ()
    assert (decision.intent, decision.refusal) == ("unsafe", "no")
    assert decision.expected_cost_pico_usd == 0


def test_what_no_classifier_reads_is_refused_where_that_is_configured() -> None:
    """By the kinds that were not read; text alone is judged as ever."""
    rules = rulebook()
    strict = replace(rules, safety=replace(rules.safety, text_only=True))
    for kinds, blocked in (
        ({"text"}, None),
        ({"text", "image"}, "no safety verdict on image, which safety.unread refuses"),
        ({"file", "audio"}, "no safety verdict on audio, file, which safety.unread refuses"),
    ):
        seen = features(modalities=frozenset(kinds))
        assert decision_for(features=seen, rules=strict).blocked == blocked
        assert decision_for(features=seen, rules=rules).blocked is None


@pytest.mark.parametrize(
    ("kinds", "characters", "blocked"),
    [({"text", "image"}, 0, False), ({"text", "image"}, 5, True), ({"text"}, 0, True)],
)
def test_without_a_score_only_what_has_no_text_passes(
    kinds: set[str], characters: int, *, blocked: bool
) -> None:
    """A picture alone does; a text that nobody judged does not, with or without a picture."""
    seen = features(modalities=frozenset(kinds), characters=characters)
    unread = structs.replace(prediction(), intents=(), harm=None, injection=None)
    assert (decision_for(features=seen, prediction=unread).blocked is not None) == blocked


def test_unsafe_can_be_sent_to_a_model_on_purpose() -> None:
    """Without block, the map decides where unsafe goes."""
    decision = decision_for(prediction=prediction(unsafe=0.9), rules=rulebook(block=False))
    assert decision.intent == "unsafe"
    assert decision.deployment == "fast"


def test_a_model_asked_for_by_name_is_used_alone() -> None:
    """An exact model bypasses the policy, in any case, by its id or its model's."""
    for name in ("strong", "model-strong", "MODEL-STRONG"):
        assert [r.deployment for r in decision_for(request=request(model=name)).routes] == [
            "strong"
        ]


def test_only_a_named_model_passes_unread_and_only_where_that_is_configured() -> None:
    """Naming a model is no way round the safety rule, unless the configuration says so."""
    unread = structs.replace(prediction(), intents=(), harm=None, injection=None)
    rules = rulebook()
    passing = replace(rules, safety=replace(rules.safety, pinned=False))
    named = request(model="coder")
    assert decision_for(request=named, prediction=unread, rules=rules).blocked
    assert decision_for(request=named, prediction=unread, rules=passing).deployment == "coder"
    for way in ("auto", "cheapest", "code"):
        assert decision_for(request=request(model=way), prediction=unread, rules=passing).blocked


def test_a_policy_and_an_intent_can_be_asked_for_by_name() -> None:
    """``cheapest`` uses that policy, ``creative`` that row of the map."""
    assert decision_for(request=request(model="cheapest")).deployment == "fast"
    assert decision_for(request=request(model="creative")).deployment == "strong"


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    """The error names the model and suggests one."""
    with pytest.raises(InvalidRequest, match="did you mean 'strong'"):
        decision_for(request=request(model="stron"))


_COOLING = Exclusion("cooling_down", "cooling down for 5.0 s after timeout", after="timeout")


def _limited(**limits: Any) -> dict[str, Any]:
    return {"request": request(constraints=Constraints(**limits))}


@pytest.mark.parametrize(
    ("world", "kind", "reason"),
    [
        ({"features": features(tokens=901)}, "window_exceeded", "answer exceed context limit: 901"),
        ({"features": features(tokens=1000)}, "window_exceeded", "too long: 1000 tokens > 1000"),
        (
            {"features": features(tokens=950), "request": request(max_tokens=500)},
            "window_exceeded",
            "input length and `max_tokens` exceed context limit: 950 + 500 > 1000",
        ),
        ({"features": features(modalities=frozenset({"text", "image"}))}, "incapable", "image"),
        ({"features": features(needs_tools=True)}, "incapable", "does not call tools"),
        ({"features": features(needs_json=True)}, "incapable", "does not promise JSON"),
        (_limited(max_cost_pico_usd=1), "over_cost_limit", "price is unknown"),
        (_limited(most_pico_usd=1), "over_budget", "price is unknown"),
        (_limited(most_tokens=1), "over_budget", "more tokens than the budget"),
        (_limited(allow=frozenset({"big"})), "not_allowed", "allow list"),
        (_limited(deny=frozenset({"small"})), "denied", "denied by the request"),
        ({"snapshot": Snapshot(unavailable={"small": _COOLING})}, "cooling_down", "after timeout"),
        (
            {"snapshot": Snapshot(latency_ms={"small": 900.0}), **_limited(max_latency_ms=100)},
            "too_slow",
            "900 ms of the 100 ms",
        ),
    ],
)
def test_each_hard_constraint_excludes_with_its_reason(
    world: dict[str, Any], kind: str, reason: str
) -> None:
    """A model that cannot take the request is no route, and its candidate says why."""
    small = deployment("small", None, context_window=1_000, max_output=500, tools=False, json=False)
    big = deployment("big", price(1, 1), modalities=frozenset({"text", "image"}))
    cheap = rulebook(cards=catalog(small, big), policy=rulebook().policies["cheapest"])
    decision = decision_for(rules=cheap, **world)
    excluded = next(c for c in decision.candidates if c.deployment == "small").excluded
    assert excluded is not None
    assert excluded.kind == kind
    assert reason in str(excluded)
    assert "small" not in [r.deployment for r in decision.routes]


@pytest.mark.parametrize("cap", [500, 501, 9_000])
def test_a_model_that_answers_less_than_the_cap_comes_last(cap: int) -> None:
    """It is asked if no other model can answer, and its reason says how much it answers."""
    small = deployment("small", price(1, 1), max_output=500)
    big = deployment("big", price(2, 2))
    cheap = rulebook(cards=catalog(small, big), policy=rulebook().policies["cheapest"])
    for shut in ((), ("big",)):
        down = Snapshot(unavailable=dict.fromkeys(shut, _COOLING))
        decision = decision_for(rules=cheap, request=request(max_tokens=cap), snapshot=down)
        routes = [route.deployment for route in decision.routes]
        assert routes == [name for name in _in_order(cap) if name not in shut]
        said = {c.deployment: c.reason for c in decision.candidates}["small"]
        assert (f"answers at most 500 of the {cap:,} tokens asked for" in said) == (cap > 500)


def _in_order(cap: int) -> tuple[str, str]:
    return ("big", "small") if cap > 500 else ("small", "big")


def test_a_model_that_can_do_nothing_else_is_not_asked_for_less() -> None:
    """Only the cap can be lowered: what else it lacks excludes it as before."""
    small = deployment("small", price(1, 1), max_output=500, tools=False)
    decision = decision_for(
        rules=rulebook(cards=catalog(small), policy=rulebook().policies["cheapest"]),
        request=request(max_tokens=501),
        features=features(needs_tools=True),
    )
    assert not decision.routes
    assert [c.excluded.kind for c in decision.candidates if c.excluded] == ["incapable"]


_COST = 10 * 10**6 + 100 * 2 * 10**6  # of the usual prompt and answer
_MOST = bound(request(), features(), deployment("small", price(1, 2), max_output=500))


@pytest.mark.parametrize(
    ("world", "kind"),
    [
        ({"features": features(tokens=900)}, None),
        ({"features": features(tokens=901)}, "window_exceeded"),
        ({"features": features(tokens=950), "request": request(max_tokens=50)}, None),
        ({"features": features(tokens=951), "request": request(max_tokens=50)}, "window_exceeded"),
        (_limited(max_cost_pico_usd=_COST), None),
        (_limited(max_cost_pico_usd=_COST - 1), "over_cost_limit"),
        (_limited(most_pico_usd=_MOST.cost_pico_usd), None),
        (_limited(most_pico_usd=(_MOST.cost_pico_usd or 0) - 1), "over_budget"),
        (_limited(most_tokens=_MOST.tokens), None),
        (_limited(most_tokens=_MOST.tokens - 1), "over_budget"),
        (_limited(allow=frozenset({"small", "strong"}), deny=frozenset({"strong"})), None),
        (_limited(allow=frozenset({"small"}), deny=frozenset({"model-small"})), "denied"),
        ({"snapshot": Snapshot(latency_ms={"small": 100.0}), **_limited(max_latency_ms=100)}, None),
        (_limited(max_latency_ms=100), None),
    ],
)
def test_what_just_fits_is_within_the_limit(world: dict[str, Any], kind: str | None) -> None:
    """A constraint excludes from the first token, pico-dollar or millisecond beyond it."""
    small = deployment("small", price(1, 2), context_window=1_000, max_output=500)
    decision = decision_for(rules=rulebook(cards=catalog(small)), **world)
    excluded = decision.candidates[0].excluded
    assert (excluded.kind if excluded else None) == kind


@pytest.mark.parametrize(
    ("searches", "limits", "kind", "words"),
    [
        (None, {"max_cost_pico_usd": 10**15}, "over_cost_limit", "no max_uses, .* a cost limit"),
        (None, {"most_pico_usd": 10**15}, "over_budget", "no max_uses, .* has a budget"),
        (3, {"max_cost_pico_usd": 10**15}, "over_cost_limit", "^its price is unknown and .* limit"),
        (3, {"most_pico_usd": 10**15}, "over_budget", "^its price is unknown and .* budget"),
        (None, {"most_tokens": 10**9}, None, ""),
    ],
)
def test_searches_without_a_limit_or_a_price_fit_no_limit_of_cost(
    searches: int | None, limits: dict[str, int], kind: str | None, words: str
) -> None:
    """Nobody knows what they cost; the reason says which of the two is missing."""
    claude = anthropic("small", price(1, 2))
    rules = rulebook(cards=catalog(claude))
    decision = decision_for(features=features(searches=searches), rules=rules, **_limited(**limits))
    excluded = decision.candidates[0].excluded
    assert (excluded.kind if excluded else None) == kind
    assert re.search(words, str(excluded or ""))


def test_each_of_several_answers_is_expected_to_cost() -> None:
    """A caller's cost limit would else be passed by as many answers as are asked for."""
    one, three = (decision_for(request=request(n=n), features=features(0, 100)) for n in (1, 3))
    for single, triple in zip(one.candidates, three.candidates, strict=True):
        assert triple.cost_pico_usd == 3 * (single.cost_pico_usd or 0) > 0


def test_an_unknown_price_comes_last_without_a_limit() -> None:
    """Unknown is the worst case: dearer than every known price."""
    cards = catalog(deployment("free", None), deployment("dear", price(99, 99)))
    cheapest = rulebook(cards=cards, policy=rulebook().policies["cheapest"])
    assert [r.deployment for r in decision_for(rules=cheapest).routes] == ["dear", "free"]


def test_nothing_eligible_leaves_no_route_but_every_reason() -> None:
    """The decision itself is returned, with the reason at every candidate."""
    decision = decision_for(features=features(tokens=10**7))
    assert decision.routes == ()
    assert decision.blocked is None
    assert all(c.excluded for c in decision.candidates)


def test_a_model_whose_rate_limit_is_spent_comes_last() -> None:
    """Behind all others, with nothing of their propensity; alone it is taken all the same."""
    spent = Exclusion("limit_spent", "its rate limit is spent")
    now = structs.replace(NOW, unavailable={"coder": spent})
    found = decision_for(snapshot=now)
    assert [route.deployment for route in found.routes] == ["fast", "strong", "coder"]
    last = next(c for c in found.candidates if c.deployment == "coder")
    assert (last.reason, last.propensity) == ("its rate limit is spent", 0)

    now = structs.replace(NOW, unavailable=dict.fromkeys(("coder", "fast", "strong"), spent))
    found = decision_for(snapshot=now)
    assert [route.deployment for route in found.routes] == ["coder", "fast", "strong"]
    assert found.reason.startswith("its rate limit is spent, and no other is left: ")
    assert next(c for c in found.candidates if c.deployment == "coder").propensity == 1


@given(ident=st.text(min_size=1, max_size=20), name=st.sampled_from(["random", "auto", "cheapest"]))
def test_equal_arguments_give_an_equal_decision(ident: str, name: str) -> None:
    """Deciding twice draws the same lot."""
    asked = request(model=name, ident=ident)
    assert decision_for(request=asked) == decision_for(request=asked)


def test_random_draws_every_model_about_equally() -> None:
    """Over many ids each of three models is first about a third of the time."""
    picks = [
        decision_for(request=request(model="random", ident=str(i))).deployment for i in range(900)
    ]
    for name in ("fast", "coder", "strong"):
        assert 230 < picks.count(name) < 370


@pytest.mark.parametrize("name", ["auto", "cheapest", "strongest", "random"])
def test_propensities_sum_to_one(name: str) -> None:
    """Every policy states how likely its first choice was."""
    decision = decision_for(request=request(model=name))
    assert sum(c.propensity for c in decision.candidates) == pytest.approx(1)


def test_an_explanation_names_every_candidate() -> None:
    """People see each model, the choice and the policy."""
    text = decision_for().explain()
    for name in ("model-fast", "model-coder", "model-strong", "intent_map", "code → coder"):
        assert name in text


def test_only_the_safety_rule_blocks() -> None:
    """A prompt that is too long for every model is refused; nobody should look for a harm in it."""
    text = decision_for(features=features(tokens=10**9)).explain()
    assert "→ refused: no model can take this request" in text


def test_a_decision_is_json_ready() -> None:
    """The record holds only plain values."""
    import orjson

    record = orjson.loads(orjson.dumps(decision_for().as_dict()))
    assert record["model"] == "model-coder"
    assert record["prediction"]["intents"]["code"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("unsafe", "label", "confidence"), [(0.7, None, 0.7), (0.7, "unsafe", 1), (None, None, 1)]
)
def test_a_block_is_as_sure_as_what_blocks(
    unsafe: float | None, label: str | None, confidence: float
) -> None:
    """A score says how sure it is; a label, and the lack of any verdict, leave no doubt."""
    found = decision_for(prediction=prediction(unsafe=unsafe, label=label))
    assert (found.blocked is not None, found.confidence) == (True, confidence)


def test_an_embedding_model_is_refused_by_its_path() -> None:
    """It exists, so that the error says where, not that it is unknown."""
    vectors = deployment("vectors", price(1, 0), kind="embedding")
    rules = replace(rulebook(), catalog=replace(catalog(), others={"vectors": vectors}))
    with pytest.raises(InvalidRequest, match=r"is for embedding, .* /v1/embeddings"):
        decision_for(request=request(model="vectors"), rules=rules)


def test_a_tool_that_no_candidate_can_run_is_refused() -> None:
    """At once and by name: going on without it would be another answer."""
    with pytest.raises(InvalidRequest, match="web_search") as refused:
        decision_for(features=features(hosted=("web_search",)))
    assert refused.value.field == "tools"
    runs = replace(catalog().deployments["strong"], id="runs")
    runs = replace(runs, provider=replace(runs.provider, family="openai-responses"))
    rules = rulebook(cards=catalog(*catalog().deployments.values(), runs))
    found = decision_for(features=features(hosted=("web_search",)), rules=rules)
    assert [route.deployment for route in found.routes] == ["runs"]
    assert str(found.candidates[0].excluded) == "does not run web_search"


def test_a_decision_sorts_as_its_request_and_depends_on_the_bundle() -> None:
    """Its id keeps the time in the request's own id; any other id gets a hash."""
    books = [replace(rulebook(), bundle=name) for name in ("sha256:a", "sha256:b")]
    for ident in ("r_0123456789ab0123456789ab", "given by the caller"):
        one, other = (decision_for(request=request(ident=ident), rules=book).id for book in books)
        assert one != other
        assert (one[2:14] == other[2:14] == "0123456789ab") == ident.startswith("r_")
