"""Answers are scanned before they leave: same verdicts, every dialect, every part, or no claim."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.gateway.world import Answer, World, chat, messages, world
from tests.runtime.world import STORY, UNSAFE, config
from turnout import Router
from turnout.core import Chunk, Delta, ToolCallDelta
from turnout.runtime.answer_texts import answer_texts
from turnout.runtime.scanner import Scanner, Scorer
from turnout.runtime.screen import Screen
from turnout.runtime.screened_walk import ScreenedWalk, screening_of
from turnout.testing import FaultyUpstream

CALM = "The valley was quiet and the trains ran on time that day. "
SCAN = {"answers": "scan"}


def judge_of(router: Router) -> Scorer:
    """What scores the router's answers."""
    screening = screening_of(router.parts, ThreadPoolExecutor(1))
    assert screening is not None
    return screening.scorer


def responses(text: str, **more: Any) -> dict[str, Any]:
    """A Responses body."""
    return {"model": "auto", "input": text, **more}


PATHS = {"/v1/chat/completions": chat, "/v1/messages": messages, "/v1/responses": responses}


@contextmanager
def answering_world(reply: str, **more: Any) -> Iterator[World]:
    """A world whose creative model answers with ``reply``, scanned unless ``more`` says no."""
    with world(**{"safety": SCAN, **more}) as w:
        w.upstream.replies["acme/strong"] = reply
        yield w


def record_of(w: World, answer: Answer) -> dict[str, Any]:
    """The decision's record."""
    return dict(w.get(f"/v1/decisions/{answer.headers['x-turnout-decision']}").json())


def chat_text(answer: Answer) -> str:
    """What a streamed chat answer says."""
    bodies = [json.loads(data) for _, data in answer.events() if data != "[DONE]"]
    return "".join(b["choices"][0]["delta"].get("content") or "" for b in bodies if b["choices"])


@pytest.mark.parametrize("family", ["openai", "openai-responses", "anthropic"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("at", [0, 3, 12])
def test_an_unsafe_answer_is_stopped_before_its_words_leave(
    path: str, family: str, at: int, *, stream: bool
) -> None:
    """None of the unsafe text reaches the caller, and the end says why in the caller's dialect."""
    with answering_world(CALM * at + UNSAFE + " " + CALM * 6, family=family) as w:
        answer = w.post(path, PATHS[path](STORY, stream=stream))
        record = record_of(w, answer)
    assert answer.status == 200
    told = answer.body.decode()
    assert "neighbour" not in told
    assert "break" not in told
    reason = "unsafe score"
    if path == "/v1/messages":
        assert '"stop_reason":"refusal"' in told
        assert reason in told
        assert not stream or told.count("event: message_stop") == 1
        assert told.count("event: content_block_start") == told.count("event: content_block_stop")
    elif path == "/v1/responses":
        assert '"incomplete_details":{"reason":"content_filter"}' in told
        assert '"type":"refusal"' in told
    else:
        assert '"finish_reason":"content_filter"' in told
        assert '"refusal":"unsafe score' in told
        assert not stream or told.endswith("data: [DONE]\n\n")
    if not stream:
        assert answer.headers["x-turnout-reason"].startswith("answer stopped: unsafe score")
        assert answer.headers["x-should-retry"] == "false"
    blocked = [scan for scan in record["scans"] if scan["blocked"]]
    assert [scan["part"] for scan in blocked] == ["0.text"]
    assert len(record["attempts"]) == 1


@pytest.mark.parametrize("before", ["", CALM * 40])
def test_a_stopped_stream_says_the_refusal_where_it_had_said_nothing(before: str) -> None:
    """In the middle of a text it would be read as the model's own words."""
    with answering_world(before + UNSAFE) as w:
        answer = w.post("/v1/chat/completions", chat(STORY, stream=True))
    told = chat_text(answer)
    assert '"finish_reason":"content_filter"' in answer.body.decode()
    if before:
        assert told
        assert before.startswith(told)
    else:
        assert told == "I can't help with that."


@pytest.mark.parametrize("family", ["openai", "openai-responses", "anthropic"])
@pytest.mark.parametrize("path", PATHS)
def test_an_error_does_not_quote_an_answer_that_broke_off(path: str, family: str) -> None:
    """What came of it was scanned by nobody."""
    with answering_world(UNSAFE, family=family, fallbacks={"strong": []}) as w:
        w.upstream.scripts["acme/strong"] = "f-halfjson"
        answer = w.post(path, PATHS[path](STORY))
    assert answer.status == 502
    assert b"broken JSON" in answer.body
    assert b"How can" not in answer.body


@pytest.mark.parametrize("stream", [True, False])
def test_what_is_said_to_be_scanned_is_what_was_delivered(*, stream: bool) -> None:
    """The record's hash is the hash of the delivered text, for a long answer too."""
    with answering_world(CALM * 20) as w:
        answer = w.post("/v1/chat/completions", chat(STORY, stream=stream))
        (scan,) = record_of(w, answer)["scans"]
    text = chat_text(answer) if stream else answer.json()["choices"][0]["message"]["content"]
    assert text == CALM * 20
    assert scan["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert scan["bytes"] == len(text.encode())
    assert scan["blocked"] is None
    assert 0 <= scan["unsafe"] < 0.5


@pytest.mark.parametrize("stream", [True, False])
def test_a_scanner_that_does_not_score_lets_nothing_out(
    monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    """Sabotage: with the classifier's answer emptied, no verdict blocks and nothing is claimed."""

    async def no_verdict(self: Scorer, *_: object) -> Any:
        from turnout.core import Prediction

        return Prediction(classifier=self.classifier.ref)

    monkeypatch.setattr(Scorer, "predict", no_verdict)
    with answering_world(CALM * 8) as w:
        answer = w.post("/v1/chat/completions", chat(STORY, stream=stream))
        record = record_of(w, answer)
    assert "valley" not in answer.body.decode()
    assert record["scans"]
    assert all(scan["unsafe"] is None and scan["blocked"] for scan in record["scans"])


def test_a_screen_that_is_bypassed_claims_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: chunks let through without the scanner leave no record of a scan behind them."""

    async def unscreened(_: Screen, batches: Any) -> Any:
        async for batch in batches:
            for chunk in batch:
                yield chunk

    monkeypatch.setattr(Screen, "releasable", unscreened)
    with answering_world(CALM * 8) as w:
        answer = w.post("/v1/chat/completions", chat(STORY, stream=True))
        record = record_of(w, answer)
    assert chat_text(answer) == CALM * 8
    assert record["scans"] == []


def test_without_scanning_nothing_is_claimed() -> None:
    """Off is the default: the answer passes as it is and no scan is on record."""
    with answering_world(CALM + UNSAFE, safety={}) as w:
        answer = w.post("/v1/chat/completions", chat(STORY))
        record = record_of(w, answer)
    assert "neighbour" in answer.body.decode()
    assert record["scans"] == []


def test_a_failure_behind_the_window_falls_over_in_silence() -> None:
    """What was held back has not left, so that a break before it is another model's turn."""
    with answering_world(CALM * 20, models={"strong": "f-reset@9"}) as w:
        answer = w.post("/v1/chat/completions", chat(STORY, stream=True))
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.headers["x-turnout-model"] != "f-reset@9"


@pytest.mark.parametrize("path", PATHS)
def test_a_failure_behind_the_window_is_tried_again(path: str) -> None:
    """A passing failure of the only model, as long as nothing has left; else it would be a 502."""
    script = {"strong": "f-reset@4-fails=1"}
    with world(safety=SCAN, models=script, fallbacks={"strong": []}) as w:
        answer = w.post(path, PATHS[path](STORY, stream=True))
    assert (answer.status, answer.headers["x-turnout-attempts"]) == (200, "2")


def test_a_stopped_stream_tells_what_it_used() -> None:
    """It is paid for all the same."""
    with FaultyUpstream(replies={"acme/strong": UNSAFE}) as upstream:
        with Router.from_config(config(upstream, safety=SCAN, ledger="off"), environ={}) as r:
            answer = r.chat(STORY, stream=True)
            last = list(answer)[-1]
    assert last["choices"][0]["finish_reason"] == "content_filter"
    assert last["usage"] == answer.reply.body["usage"]
    assert last["usage"]["completion_tokens"] > 0


def test_no_other_model_goes_on_with_a_text_that_broke_off() -> None:
    """What has left is one model's; the stream ends with an error."""
    with answering_world(CALM * 40, models={"strong": "f-reset@300"}) as w:
        w.upstream.replies["f-reset@300"] = CALM * 40
        answer = w.post("/v1/chat/completions", chat(STORY, stream=True))
        assert [entry.model for entry in w.upstream.invoice] == ["f-reset@300"]
    events = [data for _, data in answer.events()]
    assert '"content":"The"' in events[1]
    assert "error" in json.loads(events[-1])


def test_the_ledger_keeps_the_scan_with_its_hash(tmp_path: Any) -> None:
    """A stopped and a passed answer are events of their requests, the hash among them."""
    with FaultyUpstream() as upstream:
        upstream.replies["acme/strong"] = CALM * 3
        settings = config(upstream, safety=SCAN, ledger=str(tmp_path / "ledger.db"))
        with Router.from_config(settings, environ={}) as router:
            reply = router.chat(STORY)
            upstream.replies["acme/strong"] = UNSAFE
            stopped = router.chat(STORY)
            recorder: Any = router.parts.means.recorder
            rows = recorder.store.fetch("SELECT id, kind, detail FROM events ORDER BY id, n")
    kinds = {row[0]: (row[1], row[2]) for row in rows}
    passed = kinds[reply.decision.id]
    digest = hashlib.sha256(reply.text.encode()).hexdigest()
    assert passed[0] == "answer_scanned"
    assert f"0.text: sha256:{digest} of {len(reply.text)} bytes" in passed[1]
    assert "unsafe score" not in passed[1]
    kind, detail = kinds[stopped.decision.id]
    assert kind == "answer_blocked"
    assert "unsafe score" in detail
    assert stopped.text == "I can't help with that."
    assert stopped.body["choices"][0]["finish_reason"] == "content_filter"


PICTURE = "data:image/png;base64,iVBORw0KGgo="


def test_every_string_of_every_choice_is_read() -> None:
    """Text, reasoning, tool names and arguments, refusals, transcripts: each is in some part."""
    raw = {
        "choices": [
            {"index": 0, "message": {"content": "one", "refusal": "two", "role": "assistant"}},
            {"index": 1, "message": {"audio": {"id": "a", "transcript": "three", "data": "c0"}}},
            {"index": 2, "message": {"images": [{"image_url": {"url": PICTURE}}], "note": "seven"}},
        ]
    }
    call = ToolCallDelta(index=1, id="c", name="four", arguments='{"x": "five"}')
    chunk = Chunk(
        deltas=(
            Delta(choice=0, text="one"),
            Delta(choice=1, reasoning="six", tool_calls=(call,)),
        ),
        raw=raw,
    )
    found = answer_texts(chunk)
    read = " ".join(text for _, text in found)
    for word in ("one", "two", "three", "four", "five", "six", "seven"):
        assert word in read
    assert "c0" not in read  # bytes are no text
    assert "base64" not in read
    assert ("1.tool1", 'four{"x": "five"}') in found


def test_words_of_a_transcript_stay_apart() -> None:
    """However it is cut into pieces: what is read is what was said."""
    spoken = "say it  to\nme"
    pieces = [{"choices": [{"delta": {"audio": {"transcript": one}}}]} for one in spoken]
    assert "".join(text for raw in pieces for _, text in answer_texts(Chunk(raw=raw))) == spoken
    sealed = {"choices": [{"delta": {"reasoning_details": [{"data": "gAA=", "text": " so"}]}}]}
    assert answer_texts(Chunk(raw=sealed)) == [("0.other", " so")]


@pytest.mark.parametrize(
    "raw",
    [
        {
            "type": "content_block_delta",
            "delta": {"type": "input_json_delta", "partial_json": " a"},
        },
        {
            "type": "content_block_start",
            "content_block": {"type": "server_tool_use", "input": " a"},
        },
        {"type": "response.code_interpreter_call_code.delta", "output_index": 0, "delta": " a"},
    ],
)
def test_what_a_tool_that_runs_there_is_told_is_read_before_it_leaves(raw: dict[str, Any]) -> None:
    """No delta holds these words, though one says that the tool is at work."""
    assert answer_texts(Chunk(deltas=(Delta(hosted="x"),), raw=raw)) == [("0.other", " a")]
    blank = {"type": "response.code_interpreter_call_code.delta", "delta": " "}
    assert answer_texts(Chunk(deltas=(Delta(hosted="x"),), raw=blank)) == [("0.other", " ")]


async def test_every_choice_and_part_is_judged() -> None:
    """An unsafe second choice, thought or tool argument stops the answer as an unsafe text does."""
    with FaultyUpstream() as upstream:
        router = Router.from_config(config(upstream, safety=SCAN, ledger="off"), environ={})
        for delta in (
            Delta(choice=1, text=UNSAFE),
            Delta(reasoning=UNSAFE),
            Delta(tool_calls=(ToolCallDelta(index=0, id="c", name="f", arguments=UNSAFE),)),
        ):
            scanner = Scanner(judge_of(router))
            calm, bad = Chunk(deltas=(Delta(text=CALM),)), Chunk(deltas=(delta,))
            assert await scanner.scan(dict(answer_texts(calm))) is None
            assert await scanner.scan(dict(answer_texts(bad)))
        await router.aclose()


async def test_every_choice_that_began_is_ended_with_a_stopped_answer() -> None:
    """One that had sent no more than its role by then would else stay open."""
    with FaultyUpstream() as upstream:
        router = Router.from_config(config(upstream, safety=SCAN, ledger="off"), environ={})
        scanner = Scanner(judge_of(router))
        screen = Screen(scanner=scanner, hold_characters=8, stride=4)

        async def batches() -> AsyncIterator[list[Chunk]]:
            yield [Chunk(deltas=(Delta(choice=n),)) for n in (0, 1, 2)]
            yield [Chunk(deltas=(Delta(choice=1, text=UNSAFE),))]

        assert [chunk async for chunk in screen.releasable(batches())] == []
        assert (bool(screen.stopped), screen.choices) == (True, {0, 1, 2})
        await router.aclose()


async def test_choices_that_take_turns_have_a_window_each_and_are_all_ended() -> None:
    """Of each one as much is held back as of a single one."""
    with FaultyUpstream() as upstream:
        router = Router.from_config(config(upstream, safety=SCAN, ledger="off"), environ={})
        held = []
        for choices in (1, 3):
            walk = await router.begin(router.request(STORY, n=choices))
            assert isinstance(walk, ScreenedWalk)
            _ = [batch async for batch in walk.stream()]
            assert walk.screen is not None
            held.append(walk.screen.hold_characters)
        assert held == [held[0], 3 * held[0]]
        for begun, ended in (({2, 0}, (0, 2)), (set(), (0,))):
            last = walk._stop("unsafe", begun, Chunk(), None, released=True)
            assert tuple(delta.choice for delta in last.deltas) == ended
            assert {delta.finish_reason for delta in last.deltas} == {"content_filter"}
        await router.aclose()


JAPANESE = "谷は静かで、列車はその日も時間どおりに走っていた、人々は駅で本を読みながら待っていた、"
HINDI = "घाटी शांत थी और उस दिन गाड़ियाँ समय पर चलीं। "
ARABIC = "كان الوادي هادئا وكانت القطارات تسير في موعدها اليوم؟ "
THAI = "หุบเขาเงียบสงบและรถไฟวิ่งตรงเวลาในวันนั้นผู้คนนั่งอ่านหนังสือที่สถานี "
LINES = json.dumps({"path": "a.txt", "body": f"{CALM * 3}\n{UNSAFE}\n{CALM * 3}"})
FIELDS = json.dumps({"before": CALM.strip(". "), "then": UNSAFE, "after": CALM.strip(". ")})


@pytest.mark.parametrize(
    ("part", "text"),
    [
        *(("0.text", calm * 5 + UNSAFE + calm * 2) for calm in (JAPANESE, HINDI, ARABIC, THAI)),
        ("0.tool0", LINES),
        ("0.tool0", FIELDS),
    ],
)
async def test_a_sentence_is_found_among_others(part: str, text: str) -> None:
    """Whatever ends the ones before it: a sign of another script, none, an escape or a quote."""
    with FaultyUpstream() as upstream:
        router = Router.from_config(config(upstream, safety=SCAN, ledger="off"), environ={})
        judge = judge_of(router)
        calm = text.replace(UNSAFE, CALM)
        assert await Scanner(judge).scan({part: text})
        assert await Scanner(judge).scan({part: calm}) is None
        scanner = Scanner(judge)
        found = [await scanner.scan({part: text[i : i + 120]}) for i in range(0, len(text), 120)]
        assert any(found)
        await router.aclose()


def test_native_events_that_no_delta_reads_are_read() -> None:
    """Results of an Anthropic provider's own tools have no delta, and are read all the same."""
    block = {"type": "web_search_tool_result", "content": [{"type": "x", "title": "headline"}]}
    event = {"type": "content_block_start", "index": 0, "content_block": block}
    assert any("headline" in text for _, text in answer_texts(Chunk(raw=event)))
    whole = {"type": "message", "content": [block]}
    assert any("headline" in text for _, text in answer_texts(Chunk(raw=whole)))
