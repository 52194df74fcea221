"""Budgets that become full while a plan is carried out: the plan goes round their models."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.runtime.cascades import settings
from tests.runtime.world import CODE, FACT, PATIENT, STORY, config
from turnout import AllRoutesFailed, BudgetExceeded, NoEligibleDeployment, Reply, Router
from turnout.core import Budget
from turnout.core.errors import ProviderError
from turnout.ledger import store_at
from turnout.runtime.bounds import bounds
from turnout.testing import FaultyUpstream

JUDGE = {"kind": "model", "model": "judge"}
SHORT = {"max_tokens": 50}


def _most(r: Router, prompt: str) -> dict[str, Any]:
    """The most that each call of a prompt's plan may cost."""
    means = r.parts.means
    request, decision = r.request(prompt, **SHORT), r.route(prompt, **SHORT)
    return bounds(request, decision, means.rules.catalog, means.verifier)


def _budget(per: str, pico_usd: int, **more: Any) -> dict[str, Any]:
    return {"per": per, "window": "total", "usd": str(Decimal(pico_usd) / 10**12), **more}


def _replied(r: Router, prompt: str, *, stream: bool, **more: Any) -> Reply:
    if not stream:
        return r.chat(prompt, **SHORT, **more)
    answer = r.chat(prompt, stream=True, **SHORT, **more)
    list(answer)
    return answer.reply


def test_the_library_obeys_budgets_that_were_set_by_command(tmp_path: Path) -> None:
    """Those that are there when it begins, and those that another process sets meanwhile."""
    place = str(tmp_path / "l.db")
    with FaultyUpstream() as upstream:
        settings_of_all = config(upstream, ledger=place)
        with Router.from_config(settings_of_all, environ={}) as command:
            command.accounts.set_budget(Budget(per="all", window="total", unit="usd", limit=1))
        with Router.from_config(settings_of_all, environ={}) as r:
            with pytest.raises(BudgetExceeded):
                r.chat(FACT)
            assert upstream.invoice == []
            with apsw.Connection(place) as elsewhere:
                elsewhere.execute("UPDATE budgets SET most = ?", (10**12,))
                elsewhere.execute("UPDATE revision SET n = n + 1")
            r._read_budgets_at = 0.0
            assert r.chat(FACT).receipt.cost_pico_usd


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_whose_failure_leaves_no_room_for_it_is_left_out(
    tmp_path: Path, *, stream: bool
) -> None:
    """It is not tried again, and the next model answers; one that was named fails as it failed."""
    with FaultyUpstream(scripts={"acme/coder": "f-hang"}) as upstream:
        made = {"timeouts": {**PATIENT, "first_token_s": 0.3, "total_s": 2 if stream else 0.6}}
        with Router.from_config(config(upstream, ledger="off", **made), environ={}) as r:
            most = _most(r, CODE)["coder"].cost_pico_usd
        ledger = {
            "ledger": str(tmp_path / "l.db"),
            "budgets": [_budget("model", most, name="coder")],
        }
        with Router.from_config(config(upstream, **ledger, **made), environ={}) as r:
            reply = _replied(r, CODE, stream=stream)
            assert [o.route.deployment for o in reply.outcomes] == ["coder", "fast"]
            assert reply.outcomes[0].cost_pico_usd
    spent = dict(store_at(tmp_path / "l.db").fetch("SELECT account, spent FROM balances"))
    assert 0 < spent["model:coder:usd"] <= most
    assert store_at(tmp_path / "l.db").fetch("SELECT count(*) FROM holds") == [(0,)]


def test_a_budget_that_is_full_with_the_model_alone_does_not_end_the_plan(tmp_path: Path) -> None:
    """The model's own budget leaves it out; what is left then fits into the budget of all."""
    with FaultyUpstream(scripts={"acme/strong": "f-hang"}) as upstream:
        made = {"timeouts": {**PATIENT, "first_token_s": 0.3, "total_s": 0.6}}
        with Router.from_config(config(upstream, ledger="off", **made), environ={}) as r:
            most = _most(r, STORY)["strong"].cost_pico_usd
        ledger = {
            "ledger": str(tmp_path / "l.db"),
            "budgets": [_budget("model", most, name="strong"), _budget("all", most)],
        }
        with Router.from_config(config(upstream, **ledger, **made), environ={}) as r:
            reply = _replied(r, STORY, stream=False)
            assert [o.route.deployment for o in reply.outcomes] == ["strong", "fast"]
            assert reply.outcomes[0].cost_pico_usd
    spent = dict(store_at(tmp_path / "l.db").fetch("SELECT account, spent FROM balances"))
    assert spent["all:all:usd"] <= most


def test_what_is_left_of_the_plan_is_held_beside_what_failed(tmp_path: Path) -> None:
    """While the next model answers, other requests find no room in what both may cost."""
    with FaultyUpstream(scripts={"acme/coder": "f-hang"}) as upstream:
        made = {"timeouts": {**PATIENT, "first_token_s": 0.3}}
        with Router.from_config(config(upstream, ledger="off", **made), environ={}) as r:
            most = {id_: bound.cost_pico_usd for id_, bound in _most(r, CODE).items()}
        budgets = [_budget("model", most["coder"], name="coder"), _budget("all", 10**12)]
        made |= {"ledger": str(tmp_path / "l.db"), "budgets": budgets}
        with Router.from_config(config(upstream, **made), environ={}) as r:
            answer = r.chat(CODE, stream=True, **SHORT)
            next(iter(answer))
            held = dict(store_at(tmp_path / "l.db").fetch("SELECT account, held FROM balances"))
            list(answer)
            failed = answer.reply.outcomes[0].cost_pico_usd
    assert failed
    assert held["all:all:usd"] == failed + most["strong"]


@pytest.mark.parametrize("spare", [0, -1])
def test_a_model_that_just_fits_answers_without_fallbacks_that_do_not(
    tmp_path: Path, spare: int
) -> None:
    """To the last pico-dollar, with its only place; with one less the request is refused."""
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream, ledger="off"), environ={}) as r:
            most = {id_: bound.cost_pico_usd for id_, bound in _most(r, FACT).items()}
        assert most["fast"] < max(most.values())
        ledger = {
            "ledger": str(tmp_path / "l.db"),
            "budgets": [_budget("all", most["fast"] + spare)],
            "health": {"max_in_flight": 1},
        }
        with Router.from_config(config(upstream, **ledger), environ={}) as r:
            if spare:
                with pytest.raises(BudgetExceeded):
                    r.chat(FACT, **SHORT)
            else:
                assert r.chat(FACT, **SHORT).body["model"] == "acme/fast"


def test_a_model_that_would_fit_is_waited_for(tmp_path: Path) -> None:
    """It comes back before the budget does."""
    with FaultyUpstream(scripts={"acme/fast": "f-429-ra60"}) as upstream:
        with Router.from_config(config(upstream, ledger="off"), environ={}) as r:
            most = _most(r, FACT)["fast"].cost_pico_usd
        budgets = [_budget("all", most, when_full="cheaper")]
        ledger = {"ledger": str(tmp_path / "l.db"), "budgets": budgets}
        with Router.from_config(config(upstream, **ledger), environ={}) as r:
            with pytest.raises((ProviderError, AllRoutesFailed)):
                r.chat(FACT, **SHORT)
            with pytest.raises(NoEligibleDeployment):
                r.chat(FACT, **SHORT)


@pytest.mark.parametrize("per", ["model", "all"])
def test_what_was_named_fails_as_it_failed_unless_everything_is_full(
    tmp_path: Path, per: str
) -> None:
    """A model's full budget leaves nothing to try; another's full budget is why nothing is."""
    with FaultyUpstream(scripts={"acme/coder": "f-hang"}) as upstream:
        made = {"timeouts": {**PATIENT, "first_token_s": 0.3, "total_s": 0.6}}
        with Router.from_config(config(upstream, ledger="off", **made), environ={}) as r:
            most = _most(r, CODE)["coder"].cost_pico_usd
        ledger = {"ledger": str(tmp_path / "l.db"), "budgets": [_budget(per, most)]}
        with Router.from_config(config(upstream, **ledger, **made), environ={}) as r:
            expected = BudgetExceeded if per == "all" else (ProviderError, AllRoutesFailed)
            with pytest.raises(expected):
                r.chat(CODE, model="coder", **SHORT)
        assert len(upstream.entries("acme/coder")) == 1


def test_a_second_draft_that_cannot_be_judged_is_not_made(tmp_path: Path) -> None:
    """The first one's verdict has used what there was; the last step answers."""
    dear = {"strong": {"input": "30", "output": "150"}}
    with FaultyUpstream(replies={"acme/judge": "no"}) as upstream:
        made = settings(upstream, JUDGE, ledger="off", prices=dear)
        made["policy"]["steps"] = 3
        with Router.from_config(made, environ={}) as r:
            roles = [route.role for route in r.route(FACT, **SHORT).routes]
            assert roles.count("draft") == 2
            most = max(b.parts["judge"].cost_pico_usd for b in _most(r, FACT).values() if b.parts)
        budgets = [_budget("model", most, name="judge")]
        made |= {"ledger": str(tmp_path / "l.db"), "budgets": budgets}
        with Router.from_config(made, environ={}) as r:
            reply = r.chat(FACT, **SHORT)
    assert [o.route.role for o in reply.outcomes] == ["verifier", "draft", "fallback"]
    assert reply.body["model"] == "acme/strong"
    spent = dict(store_at(tmp_path / "l.db").fetch("SELECT account, spent FROM balances"))
    assert spent["model:judge:usd"] <= most
