"""Bad input is one clear line and an exit code, and nothing is lost."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.cli.run import run
from tests.success.worlds import unpriced_bundle
from turnout.config.load import recipe
from turnout.ledger.sqlite import SqliteStore
from turnout.testing import FaultyUpstream

CONFIG = "models:\n  fast: {model: m, price: unknown, provider: p}\ndefault: fast\n"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "no such file"),
        ("models: [", "line 1: not valid YAML"),
        (CONFIG + "modles: {}\n", "did you mean 'models'?"),
        ("models: {fast: nobody/knows}\ndefault: fast\n", "no known price"),
        (CONFIG + "providers: {p: {base_url: http://h, api_key: '${NOPE}'}}\n", "NOPE is not set"),
        (CONFIG, "unknown provider"),
    ],
)
def test_a_bad_configuration_is_exit_2(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, config: str | None, message: str
) -> None:
    """Missing file, bad YAML, unknown key, unknown price, missing secret, unknown provider."""
    path = tmp_path / "c.yaml"
    if config is not None:
        path.write_text(config)
    ran = run(capfd, "route", "--config", str(path), "hello")
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["route", ""], None, "the prompt is empty"),
        (["route", "-"], b"", "the prompt is empty"),
        (["route", "-"], b"\xff\xfe\x00\x01", "not UTF-8 text (byte 0)"),
        (["route", "a\udcffb"], None, "lone surrogate at character 1"),
        (["route", "--model", "no-such-model", "hi"], None, "is not configured"),
        (["route", "-"], b"word " * 2_000_000, "no model can take this request"),
    ],
)
def test_a_bad_prompt_is_exit_3(
    capfd: pytest.CaptureFixture[str], arguments: list[str], stdin: bytes | None, message: str
) -> None:
    """Empty, binary, broken Unicode, unknown model and ten megabytes."""
    ran = run(capfd, *arguments, stdin=stdin)
    if "word" in str(stdin)[:8]:
        ran = run(capfd, "ask", *arguments[1:], stdin=stdin)
    assert ran.code == 3
    assert message in ran.err
    assert len(ran.err.strip().splitlines()) <= 2


def test_an_unreachable_provider_is_exit_4(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The line names host and port."""
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG + "providers: {p: {base_url: 'http://127.0.0.1:9/v1', api_key: k}}\n")
    ran = run(capfd, "ask", "--config", str(path), "hello there")
    assert ran.code == 4
    assert "127.0.0.1:9" in ran.err


@pytest.mark.parametrize(
    ("module", "command", "fix"),
    [
        ("scipy", ["train", "intents", "rows.jsonl", "--out", "i.zip"], "turnout[train]"),
        ("sklearn", ["train", "success", "--table", "t.jsonl", "--out", "b"], "turnout[train]"),
        ("matplotlib", ["savings", "--plot", "s.png", "--ledger", "l.db"], "turnout[plot]"),
        ("uvloop", ["prove", "isolation", "--requests", "8"], "turnout[serve]"),
        ("aiohttp", ["prove", "isolation", "--requests", "8"], "turnout[prove]"),
        ("uvloop", ["prove", "streams", "--requests", "8"], "turnout[serve]"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_what_brings_it(
    tmp_path: Path, module: str, command: list[str], fix: str
) -> None:
    """One line, and the command that installs it."""
    row = {"text": "What is it?", "licence": "MIT"}
    labels = {"mine": "chat", "yours": "code", "theirs": "unsafe"}
    rows = [orjson.dumps({**row, "source": s, "intent": label}) for s, label in labels.items()]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(rows))
    cells = [
        {"id": n, "prompt": f"question {n}", "model": model, "score": (n + len(model)) % 2}
        for n in range(40)
        for model in ("a", "bb")
    ]
    (tmp_path / "t.jsonl").write_bytes(b"\n".join(map(orjson.dumps, cells)))
    SqliteStore(tmp_path / "l.db").open()
    program = f"import sys; sys.modules[{module!r}] = None\nfrom turnout.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert fix in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("each", "said"),
    [
        ([], "no rows; give labelled prompts"),
        ([{"source": "mine"}], "may be given away; say the licence of each"),
        ([{"licence": "own"}], "all rows are of one source (unnamed); name the source of each"),
        ([{"intent": "chat"}, {"intent": "unsafe"}], "have the intents ['chat', 'unsafe']; give"),
        ([{"intent": "chat"}, {"intent": "code"}], "no row that may be used has the intent unsafe"),
    ],
)
def test_rows_that_nothing_can_be_learned_from_are_told_so(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, each: list[dict[str, str]], said: str
) -> None:
    """No licence, one source, one intent or nothing to block, before anything takes long."""
    rows = [{"text": "What is it?", "intent": "chat", **more} for more in each]
    if len(each) > 1:
        rows = [{**row, "licence": "own", "source": f"s{n}"} for n, row in enumerate(rows)]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    ran = run(capfd, "train", "intents", "rows.jsonl", "--out", "i.zip")
    assert (ran.code, said in ran.err) == (2, True), ran.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("success", "--table", "t.jsonl", "--out", "t.jsonl"), "t.jsonl is a file"),
        (("success", "--table", "t.jsonl", "--out", "t.jsonl/b"), "t.jsonl is a file"),
        (("success", "--table", "t.jsonl", "--out", "b", "--seed", "-1"), "--seed"),
        (("success", "--table", "t.jsonl", "--table", "b/../t.jsonl", "--out", "b"), "given twice"),
        (("intents", "t.jsonl", "--out", "."), ". is a folder"),
        (("intents", "t.jsonl", "--out", "t.jsonl/i.zip"), "t.jsonl is a file"),
        (("asides", "t.jsonl", "--out", "."), ". is a folder"),
    ],
)
def test_what_cannot_be_written_is_said_before_training(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...], said: str
) -> None:
    """Nothing is read yet, and nothing learned in vain."""
    (tmp_path / "t.jsonl").write_text("not read\n")
    ran = run(capfd, "train", *command)
    assert (ran.code, said in ran.err) == (2, True), ran.err


def test_an_intent_that_nothing_finds_is_exit_2(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A label that the classifier does not know would send everything to the default."""
    path = tmp_path / "c.yaml"
    path.write_text("models: {m: {model: a/b, price: unknown}}\ndefault: m\nintents: {cod: m}\n")
    ran = run(capfd, "route", "--config", str(path), "hello")
    assert ran.code == 2
    assert "intents.cod: the local classifier knows no such label; did you mean 'code'?" in ran.err


def test_an_empty_list_of_budgets_says_so(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nothing on standard output is not all that is said."""
    path = tmp_path / "c.yaml"
    path.write_text(f"{CONFIG}providers: {{p: {{base_url: http://h}}}}\nledger: {tmp_path}/l.db\n")
    assert run(capfd, "keys", "create", "ours", "--config", str(path)).code == 0
    ran = run(capfd, "budgets", "list", "--config", str(path))
    assert (ran.code, ran.out) == (0, "")
    assert "no budgets" in ran.err
    empty = run(capfd, "keys", "create", "ours", "--models", " ", "--config", str(path))
    assert (empty.code, "--models is empty" in empty.err) == (2, True)
    for days in ("inf", "nan", "1e9"):
        assert run(capfd, "keys", "create", "a", "--expires-days", days).code == 2
    ran = run(capfd, "budgets", "set", "key", "fortnight", "--usd", "1", "--config", str(path))
    assert ran.code == 2


def test_budgets_are_listed_before_anything_was_recorded(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Those of the configuration stand at nothing used, and looking makes no file."""
    path = tmp_path / "c.yaml"
    budget = "budgets: [{per: all, window: day, usd: 5}]\n"
    ours = f"{CONFIG}providers: {{p: {{base_url: http://h}}}}\nledger: {tmp_path}/l.db\n{budget}"
    path.write_text(ours)
    listed = run(capfd, "budgets", "list", "--config", str(path))
    assert (listed.code, listed.err) == (0, "")
    assert "all all: $5.000000 a day, spent $0.000000, held $0.000000, left $5.000000" in listed.out
    assert run(capfd, "keys", "list", "--json", "--config", str(path)).out.strip() == "[]"
    assert run(capfd, "keys", "revoke", "k_1", "--config", str(path)).code == 3
    assert [file.name for file in tmp_path.iterdir()] == ["c.yaml"]


def test_a_wrong_option_is_exit_2(capfd: pytest.CaptureFixture[str]) -> None:
    """Usage errors are said by the command line itself."""
    assert run(capfd, "route", "--nonsense").code == 2


def test_a_missing_input_file_is_exit_2(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """For every command that reads one."""
    missing = str(tmp_path / "none.jsonl")
    for command in (["classify", "--in", missing, "--out", "-"], ["compare", missing]):
        ran = run(capfd, *command)
        assert ran.code == 2
        assert "none.jsonl: cannot be read" in ran.err


def test_an_id_that_the_provider_does_not_have_is_shown_with_the_nearest(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """``models --check`` asks the provider's own list."""
    with FaultyUpstream(models=("acme/small-v2", "acme/large")) as upstream:
        path = tmp_path / "c.yaml"
        path.write_text(
            f"providers: {{p: {{base_url: '{upstream.base_url}', api_key: k}}}}\n"
            "models:\n"
            "  a: {model: acme/small, price: unknown, provider: p}\n"
            "  b: {model: acme/large, price: unknown, provider: p}\n"
            "default: a\n"
        )
        rows = run(capfd, "models", "--check", "--json", "--config", str(path)).json
    assert [row["state"] for row in rows] == ["not there; nearest is acme/small-v2", "there"]


def test_a_key_that_the_provider_refuses_is_named_by_the_check(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Not as a provider that has no list."""
    with FaultyUpstream(api_key="right") as upstream:
        path = tmp_path / "c.yaml"
        path.write_text(
            f"providers: {{p: {{base_url: '{upstream.base_url}', api_key: wrong}}}}\n"
            "models: {a: {model: acme/small, price: unknown, provider: p}}\n"
            "default: a\n"
        )
        (row,) = run(capfd, "models", "--check", "--json", "--config", str(path)).json
    assert row["state"] == "unknown: HTTP 401: Incorrect API key provided."


def test_budgets_hinder_nothing_that_spends_nothing(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """They need a ledger, which these commands have no use for; who would spend is refused."""
    path, lines = tmp_path / "turnout.yaml", tmp_path / "lines.jsonl"
    path.write_text(f"{recipe()}\nbudgets: [{{per: all, window: day, usd: 5}}]\n")
    lines.write_text('{"text": "What is the capital of Japan?", "model": "fast"}\n')
    for asked in (("models",), ("prices",), ("route", "--assert", str(lines)), ("compare", lines)):
        ran = run(capfd, *map(str, asked), "--config", str(path))
        assert (ran.code, "budgets" in ran.err) == (0, False), asked
    ran = run(capfd, "route", "Hello", "--json", "--no-ledger", "--config", str(path))
    assert (ran.code, ran.json["chosen_model"]) == (0, "deepseek-ai/DeepSeek-V3.2")
    assert ran.err == "without the ledger the state of budgets is unknown\n"
    ran = run(capfd, "ask", "Hello", "--no-ledger", "--config", str(path))
    assert ran.code == 2
    assert "budgets need a ledger; remove 'ledger: off' or --no-ledger, or the budgets" in ran.err


@pytest.mark.parametrize(
    "asked",
    [
        "eval --table {0} --picks {0}",
        "eval --table {0} --out {0}",
        "probe new --bundle {1} --prompts {0} --out {0}",
        "calibrate {0} --save {0}",
        "ledger outcomes {0} --prompts {0}",
    ],
)
def test_nothing_is_written_over_what_is_read(
    asked: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A table, prompts, labels and a log of one's own stay as they are."""
    mine, bundle = tmp_path / "mine.jsonl", unpriced_bundle(tmp_path)
    mine.write_text('{"id": 1, "prompt": "Hello", "text": "Hello", "intent": "chat"}\n')
    ran = run(capfd, *asked.format(mine, bundle).split())
    assert (ran.code, "mine.jsonl is the file to read" in ran.err) == (2, True)
    assert mine.read_text().startswith('{"id": 1, "prompt": "Hello"')


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("calibrate mine.jsonl --lost 0.05", "--lost: only for a promise, with --table"),
        ("calibrate mine.jsonl --steady 0.1 --quality 0.9", "--quality, --steady: only for a"),
        ("calibrate --table t --bundle b --save c.json", "--save: only for labels, with SOURCE"),
        ("calibrate --table t --bundle b --no-ask", "--no-ask: only for labels"),
        ("calibrate --table t --bundle b --lost 0.1 --quality 0.95", "--quality: --lost is"),
        ("savings --csv --json", "--csv and --json exclude"),
        ("ask Hello --explain --json", "--explain is text"),
        ("setup --sha256 abc --name mine", "--sha256, --name: only for a file of your own"),
        ("init --print --out mine.yaml", "--out: --print writes no file"),
        ("prove budget --no-kill --kills 3", "--kills: --no-kill kills none"),
        ("probe small --bundle {} --remove --count 10", "--count: --remove takes a model"),
        ("probe new --bundle {} --prior 0.5 --out p", "--out: only to pick probes"),
        ("probe new --bundle {} --prompts p --out q --cost 1", "--cost: only to add the model"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    asked: str, said: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It is named, with the fix, before anything is written."""
    ran = run(capfd, *asked.format(unpriced_bundle(tmp_path)).split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"turnout: {said}")
    assert "leave" in ran.err


def test_a_plot_of_another_kind_is_refused_before_the_work(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """By its name, while nothing was trained."""
    ran = run(capfd, "eval", "--table", str(tmp_path / "none"), "--plot", "curve.gif")
    assert (ran.code, ran.err) == (2, "turnout: --plot curve.gif: name it .png or .svg\n")


def test_a_calibration_that_cannot_be_saved_is_told_before_the_work(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The labels are not even read; a folder that is not there is made."""
    labels, folder = str(tmp_path / "none.jsonl"), tmp_path / "new"
    ran = run(capfd, "calibrate", labels, "--save", str(tmp_path))
    assert (ran.code, "is a folder; name the file to write" in ran.err) == (2, True)
    ran = run(capfd, "calibrate", labels, "--save", str(folder / "mine.json"))
    assert (ran.code, "none.jsonl: cannot be read" in ran.err) == (2, True)
    assert folder.is_dir()


def test_a_whole_file_does_not_go_to_a_file_called_minus(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is meant for standard output was written there, and not found."""
    monkeypatch.chdir(tmp_path)
    bundle = unpriced_bundle(tmp_path)
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "Hello"}\n')
    for asked, said in (
        (
            f"probe new --bundle {bundle} --prompts {prompts} --out -",
            "'-' does not mean standard output",
        ),
        ("eval --table none --out -", "--out -: --json prints what --out writes"),
        ("eval --table none.parquet", "none.parquet: cannot be read (No such file or directory)"),
    ):
        ran = run(capfd, *asked.split())
        assert (ran.code, said in ran.err) == (2, True), ran.err
    assert not Path("-").exists()
