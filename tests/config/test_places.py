"""What is found wrong only when a router is built names the setting's line as well."""

from pathlib import Path

import pytest

from turnout import Router
from turnout.config import load_text
from turnout.core import ConfigError

_V = """\
default: a
models:
  a: {model: x/y, price: unknown}
  v: {model: x/v, price: unknown, provider: anthropic,
    kind: embedding}
"""
_PLACES = """\
default: a
models:
  a:
    model: x/y
    deployments:
    - {price: unknown}
    - {provider: openai}
"""
_A = "models:\n  a: {model: x/y, price: unknown}\ndefault: a\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default: a\nmodels: {a: x/y}\n", "line 2: models.a: 'x/y' at 'runcrate' has no known"),
        (
            _PLACES,
            "line 7: models.a.deployments.1: 'x/y' at 'openai' has no known price",
        ),
        (
            'MODEL_MAP = {\n  "simple_qa": "o/k",\n  "code": "x/y",\n}\nprovider: openai\n',
            "line 2: intents.simple_qa: 'o/k' at 'openai' has no known price; in models, give it",
        ),
        (
            "intents: {unsafe: block}\ndefault: x/y\n",
            "line 2: default: 'x/y' at 'runcrate' has no known price",
        ),
        ("provider: acme\n" + _A, "line 1: provider: 'acme' is an unknown provider; give it"),
        (
            "models: {a: {model: x/y, price: unknown,\n  provider: acme}}\ndefault: a\n",
            "line 2: models.a.provider: 'acme' is an unknown provider",
        ),
        (_A + "providers:\n  p: {json_schema: true}\n", "line 5: providers.p: 'p' is an unknown"),
        (_A + "providers:\n  p: {preset: acme}\n", "line 5: providers.p: preset 'acme' is unknown"),
        (
            _V,
            "line 5: models.v.kind: anthropic speaks Anthropic's API, which has no embeddings",
        ),
        (
            "models: {a: {model: x/y, price: unknown, tokenizer: odd}}\ndefault: a\n",
            "line 1: models.a.tokenizer: tokenizer 'odd' does not exist",
        ),
        (
            _A + "policy:\n  name: utility\n  bundle: nowhere\n",
            "line 6: policy.bundle: nowhere: not a bundle",
        ),
        (_A + "policy: {name: cheapest_above_quality, lost: 0.05}\n", "line 4: policy.lost: 0.05"),
        (_A + "MODEL_MAP:\n  cod: a\n", "line 5: intents.cod: the local classifier knows no such"),
        (_A + "routes:\n  code: b\n", "line 5: intents.code: 'b' is not in models"),
        (
            _A + "intents: {code: {model: a, examples: [one, two, three]}}\n",
            "line 4: intents.code.examples: code is built in",
        ),
        (_A + "classifier:\n  artefact: none.zip\n", "line 5: classifier.artefact: none.zip: not"),
        (
            _A.replace("}", ", quality: 1}")
            + "policy: {name: cascade, verify: {kind: function, function: 'no:thing'}}\n",
            "line 4: policy.verify.function: 'no:thing' cannot be imported",
        ),
        (_A + "budgets: [{per: all, window: day, usd: 1}]\nledger: off\n", "line 4: budgets: "),
    ],
)
def test_a_problem_names_the_line_of_its_setting(text: str, message: str, tmp_path: Path) -> None:
    """One line with file, line, field and fix, as for what is wrong by itself."""
    environ = {"RUNCRATE_API_KEY": "k", "OPENAI_API_KEY": "k", "HOME": str(tmp_path)}
    with pytest.raises(ConfigError) as caught:
        Router.from_config(text, environ=environ)
    assert str(caught.value).startswith(f"turnout.yaml: {message}")
    assert len(str(caught.value).splitlines()) == 1


def test_a_mapping_has_fields_without_lines() -> None:
    """A program's own settings stand in no file."""
    with pytest.raises(ConfigError, match=r"^configuration: models\.a: 'x/y' at 'runcrate' has no"):
        Router.from_config({"models": {"a": "x/y"}, "default": "a"}, environ={})


def test_where_settings_stand_is_no_part_of_them() -> None:
    """The same in another file, on other lines, is the same configuration."""
    assert load_text(_A, {}, name="one") == load_text("\n" + _A, {}, name="other")
