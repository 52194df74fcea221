"""Commands over JSON lines keep the order and lose no line."""

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.cli.run import run
from turnout.features import count_tokens

LINES: list[bytes] = [
    b'{"id": "a", "text": "What is the capital of Japan?"}',
    b"not json",
    b'{"id": "b", "messages": [{"role": "user", "content": "Write a Python function"}]}',
    b'{"id": "c"}',
    b"",
    b'{"id": "d", "text": "How can I break into my neighbour\'s house while they are away?"}',
    b'{"id": "e", "text": ""}',
    b'{"text": "Write a short story about a robot discovering music"}',
]


def test_classify_keeps_order_and_reports_bad_lines(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One verdict a good line, in order; bad lines by number, and exit 1."""
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b"\n".join(LINES))
    ran = run(capfd, "classify", "--in", str(source), "--out", str(target))
    rows = [orjson.loads(line) for line in target.read_bytes().splitlines()]
    assert ran.code == 1
    assert [row["id"] for row in rows] == ["a", "b", "d", 8]
    assert [row["intent"] for row in rows] == ["simple_qa", "code", "unsafe", "creative"]
    for number in (2, 4, 7):
        assert f"line {number}:" in ran.err
    for row in rows:
        assert set(row) == {"id", "intent", "intents", "unsafe", "injection", "language"}
        assert 0 <= row["injection"] <= row["unsafe"] <= 1
        assert sum(row["intents"].values()) == pytest.approx(1)


def test_classify_speaks_standard_streams(capfd: pytest.CaptureFixture[str]) -> None:
    """``-`` reads and writes the standard streams, with nothing else among the verdicts."""
    ran = run(capfd, "classify", "--in", "-", "--out", "-", stdin=LINES[0] + b"\n" + LINES[2])
    assert ran.code == 0
    assert [orjson.loads(line)["id"] for line in ran.out.splitlines()] == ["a", "b"]


def test_classify_reads_packed_standard_input(capfd: pytest.CaptureFixture[str]) -> None:
    """Gzip is recognised there, too."""
    ran = run(capfd, "classify", "--in", "-", "--out", "-", stdin=gzip.compress(LINES[0]))
    assert orjson.loads(ran.out)["id"] == "a"


def test_what_is_null_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    """Exports of tables write every column; and a long id stays as it is."""
    rows = [
        b'{"id": 12345678901234567890123, "text": "Name a bird.", "messages": null}',
        b'{"id": "b", "text": null, "prompt": "Name a bird."}',
        b'{"id": "c", "text": null, "messages": null}',
        b'{"id": [{"n": 98765432109876543210987}], "text": "Name a bird."}',
    ]
    ran = run(capfd, "classify", "--in", "-", "--out", "-", stdin=b"\n".join(rows))
    ids = [json.loads(line)["id"] for line in ran.out.splitlines()]
    assert ids == [12345678901234567890123, "b", [{"n": 98765432109876543210987}]]
    assert "line 3: has neither text nor messages" in ran.err


@pytest.mark.parametrize("piped", [True, False])
def test_a_file_from_windows_loses_no_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, *, piped: bool
) -> None:
    """A byte order mark and its line ends are no part of the first line."""
    data = b"\xef\xbb\xbf" + b"\r\n".join([LINES[0], LINES[2]])
    (tmp_path / "in.jsonl").write_bytes(data)
    source = "-" if piped else str(tmp_path / "in.jsonl")
    ran = run(capfd, "classify", "--in", source, "--out", "-", stdin=data)
    assert ran.code == 0
    assert [orjson.loads(line)["id"] for line in ran.out.splitlines()] == ["a", "b"]


def compare_report(
    capfd: pytest.CaptureFixture[str], rows: list[dict[str, Any]], *more: str
) -> Any:
    """The report of ``compare --json`` on ``rows``."""
    Path("c.jsonl").write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    return run(capfd, "compare", "c.jsonl", "--json", *more).json


def test_compare_is_the_arithmetic_one_would_do_by_hand(capfd: pytest.CaptureFixture[str]) -> None:
    """Real prompt tokens by each model's tokenizer, measured outputs, the documented prices."""
    fact, story = "What is the capital of Japan?", "Write a short story about a robot"
    report = compare_report(
        capfd,
        [{"text": fact, "output_tokens": 10}, {"text": story, "output_tokens": 900}],
    )

    def sonnet_cost_usd(text: str, out: int) -> float:
        # o200k_base undercounts Claude's tokens: the catalogue adds 20 %, rounded up.
        tokens = -(-(4 + count_tokens([text], "o200k_base")) * 12 // 10)
        return (tokens * 3 + out * 15) / 1e6

    def deepseek(text: str, out: int) -> float:
        return ((4 + count_tokens([text], "deepseek_v3")) * 0.27 + out * 0.40) / 1e6

    rows = {row["what"]: row for row in report["rows"]}
    always = sonnet_cost_usd(fact, 10) + sonnet_cost_usd(story, 900)
    routed = deepseek(fact, 10) + sonnet_cost_usd(story, 900)
    assert rows["always anthropic/claude-4-sonnet"]["cost_usd"] == pytest.approx(always, rel=1e-9)
    assert rows["routed, local classifier"]["cost_usd"] == pytest.approx(routed, rel=1e-9)
    assert rows["routed, local classifier"]["saving"] == pytest.approx(1 - routed / always)
    assert routed <= rows["routed, hybrid"]["cost_usd"] < rows["routed, LLM classifier"]["cost_usd"]
    assert (report["measured_outputs"], report["quality"]) == (2, "not measured")


def test_compare_marks_what_it_assumed_and_gives_a_range(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Without measured outputs the report says so, and shows half and double of them."""
    report = compare_report(capfd, [{"text": "What is the capital of Japan?"}])
    assert (report["measured_outputs"], report["assumed_outputs"]) == (0, 1)
    half, double = report["range"]["half the output"], report["range"]["double the output"]
    assert half != double
    assert report["recipe_claim"] == "60-80%"


def test_compare_keeps_blocked_prompts_out_of_the_sums(capfd: pytest.CaptureFixture[str]) -> None:
    """A refusal is no saving."""
    unsafe = orjson.loads(LINES[5])["text"]
    report = compare_report(capfd, [{"text": "What is the capital of Japan?"}, {"text": unsafe}])
    alone = compare_report(capfd, [{"text": "What is the capital of Japan?"}])
    assert report["blocked"] == 1
    assert report["rows"][0] == alone["rows"][0]


def test_compare_takes_any_configured_baseline(capfd: pytest.CaptureFixture[str]) -> None:
    """A model's name or its id; an unknown one is refused."""
    row = {"text": "What is the capital of Japan?", "answer": "Tokyo."}
    report = compare_report(capfd, [row], "--baseline", "coder")
    assert report["baseline"] == "Qwen/Qwen3-Coder-480B-A35B-Instruct-Turbo"
    refused = run(capfd, "compare", "c.jsonl", "--baseline", "nope")
    assert refused.code == 2
    assert "--baseline 'nope' is not configured; use one of fast, strong, coder" in refused.err


def test_a_length_that_is_none_is_not_assumed_away(capfd: pytest.CaptureFixture[str]) -> None:
    """The line is reported, where 400 tokens were assumed; 100.0 is 100, and null is unknown."""
    text = {"text": "What is the capital of Japan?"}
    good = [{"output_tokens": 10.0}, {"output_tokens": None, "answer": None, "response": "Tokyo"}]
    bad = [{"output_tokens": n} for n in (-4, "x", 1.5, True)] + [{"answer": ["Tokyo"]}]
    Path("c.jsonl").write_bytes(b"\n".join(orjson.dumps({**text, **row}) for row in good + bad))
    ran = run(capfd, "compare", "c.jsonl", "--json")
    assert ran.code == 1
    assert (ran.json["prompts"], ran.json["measured_outputs"]) == (2, 2)
    assert "line 3: output_tokens is -4; use a whole number, or leave it out" in ran.err
    assert "line 7: answer must be a string, not list" in ran.err


def test_compare_calls_no_model_whatever_the_configuration_says(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With a label classifier configured its cost is estimated, and it is not asked."""
    from tests.runtime.world import config
    from turnout.testing import FaultyUpstream

    with FaultyUpstream() as upstream:
        settings = config(upstream, classifier={"kind": "llm", "model": "fast"})
        Path("t.yaml").write_bytes(orjson.dumps(settings))
        report = compare_report(capfd, [{"text": "What is the capital of Japan?"}], "-c", "t.yaml")
        assert upstream.requests == []
    assert report["prompts"] == 1
