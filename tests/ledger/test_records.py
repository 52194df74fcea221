"""A stored decision can be made again, byte for byte, without the text."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.ledger.money import CATALOG, decided, make_request, report_request, rules, traffic
from turnout.core import (
    CALL_KINDS,
    Caller,
    CallKind,
    ConfigError,
    Constraints,
    Exclusion,
    Features,
    Prediction,
    Ref,
    Request,
    Snapshot,
)
from turnout.decision import Knobs, Rulebook, decide
from turnout.ledger import Ledger, pack, unpack
from turnout.ledger.sqlite import SqliteStore
from turnout.policies import Cascade, CheapestAboveQuality


def _repacked(record: bytes) -> bytes:
    request, decision = unpack(record)
    made = decide(request, decision.features, decision.prediction, decision.snapshot, rules())
    return pack(request, made)


@pytest.mark.slow
async def test_ten_thousand_stored_requests_decide_the_same_again(tmp_path: Path) -> None:
    """From the records alone, 10,000 of 10,000 decisions come out byte-identical."""
    with Ledger(SqliteStore(tmp_path / "ledger.db"), catalog=CATALOG) as ledger:
        for start in range(0, 10_000, 1000):
            await asyncio.gather(*(report_request(ledger, one) for one in traffic(1000, start)))
    records = SqliteStore(tmp_path / "ledger.db").fetch("SELECT record FROM decisions")
    assert len(records) == 10_000
    assert all(_repacked(record) == record for (record,) in records)


_SCORE = st.none() | st.floats(0, 1)
_CLOSED = st.sampled_from(
    [
        Exclusion("no_key", "no key for acme"),
        Exclusion("at_limit", "at its limit of 9 calls", wait_s=0.0),
        Exclusion("cooling_down", "cooling down", after="timeout", wait_s=1.5),
        Exclusion("cooling_down", "cooling down", after="unauthorized"),
        Exclusion("unstated", "cooling down"),
    ]
)
_NAMES = st.sampled_from(["small", "mid", "large", "acme/small", "nobody"])


@given(
    model=st.sampled_from(["auto", "code", "large", "acme/mid"]),
    cap=st.none() | st.integers(1, 200_000),
    limits=st.builds(
        Constraints,
        max_cost_pico_usd=st.none() | st.integers(0, 10**13),
        max_latency_ms=st.none() | st.floats(0, 1e5),
        allow=st.none() | st.frozensets(_NAMES),
        deny=st.frozensets(_NAMES),
        most_pico_usd=st.none() | st.integers(0, 10**13),
        most_tokens=st.none() | st.integers(0, 10**6),
    ),
    tokens=st.integers(0, 200_000),
    harm=_SCORE,
    label=st.sampled_from([None, "code", "unsafe"]),
    failure=st.sampled_from([None, "no label within 2 s"]),
    strange=_SCORE,
    predictor=st.none() | st.builds(Ref, name=_NAMES, digest=_NAMES),
    written=st.dictionaries(_NAMES, st.integers(0, 10**6)),
    hour_cache=st.booleans(),
    marked=st.booleans(),
    cached=st.dictionaries(_NAMES, st.integers(0, 200_000)),
    slow=st.dictionaries(_NAMES, st.floats(0, 1e6)),
    down=st.dictionaries(_NAMES, _CLOSED),
    late=st.lists(_NAMES).map(tuple),
)
def test_any_decision_survives_its_record(
    model: str,
    cap: int | None,
    limits: Constraints,
    tokens: int,
    harm: float | None,
    label: str | None,
    failure: str | None,
    strange: float | None,
    predictor: Ref | None,
    written: dict[str, int],
    slow: dict[str, float],
    down: dict[str, Exclusion],
    cached: dict[str, int],
    late: tuple[str, ...],
    *,
    hour_cache: bool,
    marked: bool,
) -> None:
    """Whatever was asked, seen and known: the record gives it back and makes it again."""
    body = {"messages": [{"role": "user", "content": "text"}]}
    if cap is not None:
        body["max_tokens"] = cap  # type: ignore[assignment]
    request = Request(id="r_1", body=body, model=model, constraints=limits, tags={"a": "b"})
    counts = {"qwen3": tokens, "o200k_base": tokens}
    features = Features(
        input_tokens=counts,
        output_tokens=400,
        written=written,
        hour_cache=hour_cache,
        marked=marked,
    )
    guess = Prediction(
        classifier=Ref(name="c"),
        intents=(("chat", 0.7), ("code", 0.3)),
        harm=harm,
        label=label,
        label_failure=failure,
        strange=strange,
        predictor=predictor,
    )
    now = Snapshot(
        as_of=1.25,
        version=9,
        latency_ms=slow,
        unavailable=down,
        cached_tokens=cached,
        late_judges=late,
    )
    decision = decide(request, features, guess, now, rules())
    record = pack(request, decision)
    assert unpack(record)[1] == decision
    assert _repacked(record) == record


@pytest.mark.parametrize(("strange", "model"), [(1.0, "large"), (0.0, "mid"), (None, "mid")])
def test_a_choice_that_a_margin_kept_is_made_again(strange: float | None, model: str) -> None:
    """How strange a prompt was is in the record, so that the margin works again as it did."""
    usual = (("acme/large", 0.9), ("acme/mid", 0.5), ("acme/small", 0.2))
    steady = replace(rules(), policy=CheapestAboveQuality(steady=0.1, usual=usual))
    success = {"acme/large": 0.9, "acme/mid": 0.88, "acme/small": 0.1}
    guess = Prediction(classifier=Ref(name="c"), harm=0.0, success=success, strange=strange)
    features = Features(input_tokens={"qwen3": 9, "o200k_base": 9}, output_tokens=400)
    request = structs.replace(make_request(1), model="auto")
    made = decide(request, features, guess, Snapshot(), steady)
    assert made.model == f"acme/{model}"
    record = pack(request, made)
    stored, kept = unpack(record)
    again = decide(stored, kept.features, kept.prediction, kept.snapshot, steady)
    assert pack(stored, again) == record


def _made_again(request: Request, book: Rulebook, **kept: float) -> bool:
    """Whether the record alone leads to the same decision; ``kept`` are P(success)."""
    features = Features(input_tokens={"qwen3": 9, "o200k_base": 9}, output_tokens=400)
    guess = Prediction(classifier=Ref(name="c"), harm=0.0, success=kept)
    record = pack(request, decide(request, features, guess, Snapshot(), book))
    stored, decision = unpack(record)
    found = decision.features, decision.prediction, decision.snapshot
    return pack(stored, decide(stored, *found, book)) == record


def test_several_answers_cost_as_many_times_as_much_again() -> None:
    """Of a request for ``n`` answers, the number is in the record."""
    one = make_request(1)
    several = structs.replace(one, body={**one.body, "n": 3})
    assert _made_again(several, rules())
    assert unpack(pack(several, decided(several)))[0].choices == 3


def test_a_cascade_without_verdicts_drafts_nothing_again() -> None:
    """A judge's budget had no room: the record says so."""
    book = replace(rules(), policy=Cascade())
    limits = Constraints(drafts=False)
    likely = {"acme/small": 0.9, "acme/mid": 0.95, "acme/large": 0.99}
    request = structs.replace(make_request(1), model="auto", constraints=limits)
    assert _made_again(request, book, **likely)


@pytest.mark.parametrize(
    "caller",
    [
        Caller(key="tight"),
        Caller(key="k_1", names=("tight",), keys=("k_1",)),
        Caller(key="k_1", team="tight", keys=("k_1",)),
        Caller(key="k_1", names=("ci",), team="t", keys=("k_1", "tight")),
    ],
)
def test_limits_of_a_key_hold_again(caller: Caller) -> None:
    """By its id, its name, its team or an ancestor, each of which the record tells."""
    book = replace(rules(), knobs=Knobs(keys={"tight": Constraints(max_cost_pico_usd=1)}))
    request = structs.replace(make_request(1), model="auto", tenant=caller.tenant, caller=caller)
    assert _made_again(request, book)


@pytest.mark.parametrize("written", [{}, {"acme/mid": 9}])
@pytest.mark.parametrize("hour_cache", [False, True])
@pytest.mark.parametrize("paid", [False, True])
@pytest.mark.parametrize("hosted", [(), ("mcp", "web_search")])
@pytest.mark.parametrize("kind", CALL_KINDS)
def test_what_few_requests_have_is_in_the_record(
    written: dict[str, int],
    hosted: tuple[str, ...],
    kind: CallKind,
    *,
    hour_cache: bool,
    paid: bool,
) -> None:
    """What runs at a provider, lengths, caches and the kind of call, together or alone."""
    features = Features(
        input_tokens={"qwen3": 9},
        output_tokens=400,
        written=written,
        hour_cache=hour_cache,
        hosted=hosted,
        paid_by_call=paid,
        kind=kind,
        searches=None if paid else 0,
        wants_audio=hour_cache,
        unlisted={"openai": "service_tier"} if paid else {},
    )
    decision = structs.replace(decided(make_request(1)), features=features)
    asked = structs.replace(make_request(1), models=("fast", "coder") if paid else ())
    again, found = unpack(pack(asked, decision))
    assert (again.models, found) == (asked.models, decision)


def test_a_record_is_small() -> None:
    """A decision over a catalogue of three takes well under 1.5 kB."""
    request = make_request(1)
    assert len(pack(request, decided(request))) <= 1500


@pytest.mark.parametrize("record", [b"", b"[]", b"z123", b"[99]", b"\x00\xff", b"null"])
def test_a_damaged_record_is_one_clear_line(record: bytes) -> None:
    """What is no record says so, and nothing else is raised."""
    with pytest.raises(ConfigError, match="record cannot be read"):
        unpack(record)
