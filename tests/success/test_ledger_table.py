"""One's own traffic as an outcome table: served, rated, joined with its prompts, trained on."""

import json
from pathlib import Path

import pytest

from tests.cli.run import run
from tests.gateway.world import chat, world
from tests.runtime.cascades import cascade
from tests.runtime.world import config
from tests.success.worlds import prompts
from turnout import InvalidRequest, Router
from turnout.evaluation.table_files import read_table
from turnout.ledger import store_at
from turnout.ledger.queries import request_details
from turnout.testing import FaultyUpstream


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_served_answers_that_were_rated_are_a_table_to_train_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two models answer the same prompts; stars become scores, and a bundle comes of it."""
    place, log = tmp_path / "l.db", []
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream, ledger=str(place)), environ={}) as r:
            for number, row in enumerate(prompts(24)):
                for model, stars in (("fast", 1 + number % 5), ("strong", 5 - number % 2)):
                    reply = r.chat(str(row["prompt"]), model=model)
                    r.feedback(reply.decision.id, "stars", stars)
                    log.append({"id": reply.decision.request_id, "prompt": row["prompt"]})
            r.feedback(reply.decision.id, "other", 1)
    source, target = written(tmp_path / "log.jsonl", log[:-1]), tmp_path / "mine.jsonl"
    command = ("ledger", "outcomes", str(target), "--prompts", str(source), "--ledger", str(place))
    asked = run(capfd, *command)
    assert asked.code == 2
    assert "--metric: name one of other (1), stars (48)" in asked.err
    wrong = run(capfd, *command, "--metric", "stars")
    assert wrong.code == 2
    assert "outside 0:1; give its range as --scale LOW:HIGH" in wrong.err
    made = run(capfd, *command, "--metric", "stars", "--scale", "1:5")
    assert made.code == 0
    assert "1 of 48 outcomes have no prompt" in made.err
    table = read_table(target)
    assert table.models == ("acme/fast", "acme/strong")
    assert table.score.shape == (24, 2)
    assert table.score[3, 0] == pytest.approx(0.75)
    assert table.cost_usd is not None
    assert table.cost_usd[0, 1] > table.cost_usd[0, 0] > 0
    assert table.output_tokens is not None
    assert table.output_tokens[0, 0] > 0
    bundle = tmp_path / "bundle"
    assert run(capfd, "train", "success", "--table", str(target), "--out", str(bundle)).code == 0
    assert run(capfd, "eval", "--table", str(target), "--bundle", str(bundle)).code == 0


def test_verified_drafts_are_outcomes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What a cascade's verifier said of its drafts needs no feedback; the caller's own ids join."""
    place = tmp_path / "l.db"
    with FaultyUpstream(replies={"acme/judge": "no"}) as upstream:
        verify = {"kind": "model", "model": "judge"}
        with cascade(upstream, verify, ledger=str(place)) as r:
            first = r.chat("What is the capital of Japan?")
            upstream.replies["acme/judge"] = "yes"
            second = r.chat("What is the capital of Peru?")
    log = [
        {"id": first.decision.id, "prompt": "What is the capital of Japan?"},
        {"id": second.decision.request_id, "prompt": "What is the capital of Peru?"},
    ]
    source, target = written(tmp_path / "log.jsonl", log), tmp_path / "mine.jsonl"
    ran = run(
        capfd, "ledger", "outcomes", str(target), "--prompts", str(source), "--ledger", str(place)
    )
    assert ran.code == 0
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["model"], row["score"]) for row in rows] == [("acme/fast", 0), ("acme/fast", 1)]


def test_feedback_to_the_gateway_is_in_the_ledger(tmp_path: Path) -> None:
    """It outlives the process, with its source; the caller's own id finds its prompt."""
    place = tmp_path / "l.db"
    with world(ledger=str(place)) as w:
        answer = w.post("/v1/chat/completions", chat(), {"x-request-id": "mine-1"})
        ident = answer.headers["x-turnout-decision"]
        said = {"decision_id": ident, "metric": "correct", "value": 1, "source": "test"}
        assert w.post("/v1/feedback", said).status == 200
    (kept,) = request_details(store_at(place), ident)["feedback"]
    assert (kept["metric"], kept["source"], kept["value_micro"]) == ("correct", "test", 1_000_000)


def test_feedback_on_an_unknown_decision_is_refused(tmp_path: Path) -> None:
    """The message names the field's value and where to look; so is what is no metric or value."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger=str(tmp_path / "l.db"))
        with Router.from_config(settings, environ={}) as r:
            ident = r.chat("Hello there").decision.id
            with pytest.raises(InvalidRequest, match="'d_nothing' is not in the ledger"):
                r.feedback("d_nothing", "stars", 1)
            for metric, value, said in (
                ("", 1, "metric is ''; use a name"),
                (None, 1, "metric is missing"),
                ("stars", "five", "value is 'five'; use a number"),
                ("stars", None, "value is missing"),
                ("stars", float("nan"), "value is nan"),
            ):
                with pytest.raises(InvalidRequest, match=said):
                    r.feedback(ident, metric, value)  # type: ignore[arg-type]
            r.feedback(ident, "passed", value=True)


def test_without_feedback_the_command_says_where_it_goes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line names the two ways."""
    place = tmp_path / "l.db"
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream, ledger=str(place)), environ={}) as r:
            r.chat("Hello there")
    source = written(tmp_path / "log.jsonl", [{"id": "x", "prompt": "y"}])
    ran = run(
        capfd, "ledger", "outcomes", str(tmp_path / "o.jsonl"), "--prompts", str(source),
        "--ledger", str(place),
    )  # fmt: skip
    assert ran.code == 2
    assert "POST /v1/feedback" in ran.err
