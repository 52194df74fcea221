"""The documentation matches the program: its commands, options and settings are there."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import orjson
import pytest
import typer
import yaml
from benchmarks.classify.__main__ import page as page_of
from benchmarks.classify.folds import card
from pydantic import BaseModel

from tests.runtime.world import PATIENT, config
from tests.success.worlds import trained_predictor, write_table
from turnout.catalog.presets import presets
from turnout.classifiers import LocalClassifier
from turnout.cli.app import app
from turnout.config import Config, load_text
from turnout.evaluation import read_table
from turnout.testing import FaultyUpstream
from turnout.training.bundle import write_bundle

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LOGS = sorted((ROOT / "experiments").glob("*.md"))
_COMMAND = re.compile(r"turnout ((?:[a-z]+ ?)+[^`|\n]*)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]*)\)")
_NAMED = ("fast", "strong", "coder", "judge")


def _texts(page: Path) -> Iterator[str]:
    """What a page shows as typed: code blocks line by line, and what stands in backticks."""
    text = page.read_text(encoding="utf-8")
    for kind, block in _BLOCK.findall(text):
        if kind in ("", "console", "sh"):
            yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`(turnout [^`]+)`", _BLOCK.sub("", text))


@cache
def _commands() -> Any:
    return typer.main.get_command(app([]))


def _shown() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for text in _texts(page):
            for found in _COMMAND.findall(text):
                yield page.name, found


@pytest.mark.parametrize(("page", "shown"), sorted(set(_shown())))
def test_commands_and_options_are_there(page: str, shown: str) -> None:
    """Each command that a page shows exists, with each option that is shown with it."""
    command: Any = _commands()
    words = shown.split("  ", maxsplit=1)[0].split()
    while words and getattr(command, "commands", None):
        name = words.pop(0).rstrip(",")
        assert name in command.commands, f"{page}: turnout {shown}"
        command = command.commands[name]
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    used = set(re.findall(r"--[a-z][a-z0-9-]*", " ".join(words)))
    assert used <= options | {"--help"}, f"{page}: turnout {shown}"


def _settings() -> Iterator[tuple[str, str]]:
    """Every example of settings; a key that comes again begins another one."""
    for page in PAGES:
        for kind, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            if kind != "yaml":
                continue
            example = ""
            for part in re.split(r"^(?=\S)", block, flags=re.MULTILINE):
                if part.partition(":")[0] in (yaml.safe_load(example) or {}):
                    yield page.name, example
                    example = ""
                example += part
            yield page.name, example


@pytest.mark.parametrize(("page", "example"), list(_settings()))
def test_settings_are_valid(page: str, example: str) -> None:
    """Each example of settings is read without a complaint, once its models are named."""
    settings = yaml.safe_load(example)
    models = settings.get("models", {name: {"model": name, "price": "unknown"} for name in _NAMED})
    rest = {"models": models, "default": next(iter(models)), "intents": {"code": [*models][-1]}}
    more = {name: value for name, value in rest.items() if name not in settings}
    load_text(example + (yaml.safe_dump(more) if more else ""), _Anything(), name=page)


class _Anything(dict[str, str]):
    """An environment in which every variable is set."""

    def get(self, name: str, default: Any = None) -> Any:
        del default
        return self[name]

    def __missing__(self, name: str) -> str:
        return f"a-value-of-{name}"


@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_examples_of_the_library_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that import turnout, one after another, with what the ones before them left."""
    blocks = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with FaultyUpstream() as upstream:
        settings = {**config(upstream, timeouts=PATIENT), "ledger": str(tmp_path / "ledger.db")}
        (tmp_path / "turnout.yaml").write_text(yaml.safe_dump(settings))
        for kind, block in blocks:
            if kind == "python" and "from openai" not in block:
                exec(block, names)  # noqa: S102 -- our own page
    assert "answers" in capsys.readouterr().out
    assert names["reply"].receipt.cost_pico_usd > 0


def test_the_example_of_evaluation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands on the page, on a table and a bundle of the names that it gives."""
    pytest.importorskip("matplotlib")
    (tmp_path / "mine").mkdir()
    table = read_table(write_table(tmp_path / "mine", "held-out"))
    write_bundle(trained_predictor(), [table], tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "routing.md").read_text(encoding="utf-8")
    (example,) = [block for kind, block in _BLOCK.findall(page) if kind == "python"]
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 -- our own page
    rows = {row.name: row for row in names["report"].rows}
    assert {"mine", "0.95", "random", "cheapest", "strongest", "oracle"} <= set(rows)
    mine = [row for row in names["chosen"] if row["policy"] == "mine"]
    assert [row["id"] for row in mine] == table.ids
    assert np.mean([row["score"] for row in mine]) == pytest.approx(rows["mine"].quality.value)
    assert sum(row["cost_usd"] for row in mine) / 0.24 == pytest.approx(
        rows["mine"].usd_per_1000.value
    )


def _sections(annotation: Any) -> set[type[BaseModel]]:
    """The sections of the configuration that this one leads to, and itself."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = [field.annotation for field in annotation.model_fields.values()]
        return {annotation}.union(*map(_sections, inner))
    return set().union(*map(_sections, get_args(annotation)))


def test_every_setting_and_preset_is_described() -> None:
    """The page of settings names each that there is, and its table those of the top."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert [name for name in Config.model_fields if f"`{name}`" not in rows] == []
    known = {
        field.alias or name
        for section in _sections(Config)
        for name, field in section.model_fields.items()
    }
    assert {name for name in known if not re.search(rf"\b{name}\b", page)} == set()
    assert [name for name in presets() if f"`{name}`" not in page] == []


def test_the_classifiers_figures_agree() -> None:
    """Those of the page, of the report beside it, of the shipped model card and of the README."""
    folder = ROOT / "docs"
    report = orjson.loads((folder / "classifiers-results.json").read_bytes())
    assert (folder / "classifiers-results.md").read_text(encoding="utf-8") == page_of(report)
    assert report["machine"]["artefact"].endswith(LocalClassifier.load().ref.digest)
    figures = report["card"]
    assert figures == card([])
    four, outside = figures["four way f1"], figures["four way f1 not english"]
    told = f"four-way F1 {four}, outside English {outside}; {100 * figures['recall at 1']} %"
    assert told in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tests_that_are_named_are_there() -> None:
    """Each file and each proof that the list of tests names exists."""
    text = (ROOT / "docs" / "tested.md").read_text(encoding="utf-8")
    files = re.findall(r"`(\w+/test_\w+\.py)`", text)
    assert len(files) > 50
    missing = [name for name in files if not (ROOT / "tests" / name).exists()]
    assert missing == []
    proofs = _commands().commands["prove"].commands
    assert set(re.findall(r"`prove (\w+)`", text)) <= set(proofs)


def _anchors(page: Path) -> set[str]:
    """The names of a page's headings in links: lower case, hyphens for spaces, no other marks."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LOGS, ids=lambda page: page.name)
def test_logs_begin_with_an_overview_and_their_newest_entry(page: Path) -> None:
    """Each log has its overview first, then dated entries, the newest first."""
    headings = re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings[0] == "Overview"
    dates = [re.fullmatch(r"(\d{4}-\d\d-\d\d) · .+", heading) for heading in headings[1:]]
    assert all(dates), headings
    found = [date[1] for date in dates if date]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "CONTRIBUTING.md", *LOGS],
    ids=lambda page: page.name,
)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link into the repository names a file that exists, and a heading that it has."""
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    dead = []
    for link in links:
        name, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / name) if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            dead.append(link)
    assert dead == []
