"""turnout.yaml is valid as a whole, or every problem is named with its line and fix."""

import re
from pathlib import Path

import pytest

from turnout.config import digest, load_file, load_mapping, load_text
from turnout.core import ConfigError

MODEL = "models:\n  fast: {model: m, price: unknown}\ndefault: fast\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no settings"),
        ("- a\n", "holds no settings"),
        ("models: [", "line 1: not valid YAML"),
        ("models:\n  a: x\n  a: y\ndefault: a\n", "line 3: models.a is given twice"),
        (MODEL + "modles: {}\n", "line 4: modles: unknown key 'modles'; did you mean 'models'?"),
        (
            "models:\n  fast: {model: m, context_windw: 3}\ndefault: fast\n",
            "line 2: models.fast.context_windw: unknown key 'context_windw'; did you",
        ),
        ("models: {f: m}\ndefault: fats\n", "line 2: default: 'fats' is not in models"),
        (MODEL + "intents: {code: fst}\n", "line 4: intents.code: 'fst' is not in models; did you"),
        (MODEL + "intents: {code: block}\n", "only unsafe can be blocked"),
        (MODEL + "fallbacks: {fast: [slow]}\n", "fallbacks.fast: 'slow' is not in models"),
        (
            MODEL + "budgets:\n  - {per: key, window: day, usd: 1}\n"
            "  - {per: key, window: day, usd: 2}\n",
            "line 6: budgets.1: is for the same, in the same day, as another; keep one",
        ),
        (
            MODEL + "budgets:\n  - {per: model, name: fats, window: day, usd: 1}\n",
            "line 5: budgets.0.name: 'fats' is not in models; did you mean 'fast'?",
        ),
        (MODEL + "policy: fixd\n", "line 4: policy.name: 'fixd': input should be 'intent_map'"),
        (MODEL + "policy: fixed\n", "policy fixed needs model"),
        (
            MODEL + "policy: {prompt_caches: on}\n",
            "line 4: policy.prompt_caches: True: input should be 'priced' or 'off'",
        ),
        (MODEL + "classifier: llm\n", "kind llm needs model"),
        (MODEL + "safety: {threshold: 2}\n", "line 4: safety.threshold: 2: input should be less"),
        ("models:\n  f: {model: m, price: {input: -1, output: 1}}\ndefault: f\n", "line 2: models"),
        (
            "models:\n  f: {model: m, price: {input: 3e-7, output: 0}}\ndefault: f\n",
            "line 2: models.f.price.input: '3e-7': looks like the price of one token; give that of",
        ),
        ("models:\n  f: {model: m, price: free}\ndefault: f\n", "models.f.price: 'free'"),
        (MODEL + "providers: {p: {api_key: '${NOPE}'}}\n", "line 4: providers.p.api_key: envir"),
        (
            MODEL + "providers: {p: {base_url: 'ftp://h/v1'}}\n",
            "line 4: providers.p.base_url: 'ftp://h/v1': use a URL such as https://",
        ),
        (MODEL + "providers: {p: {base_url: 'api.h.com/v1'}}\n", "providers.p.base_url: 'api.h"),
        (MODEL + "providers: {p: {base_url: 'http://[h/v1'}}\n", "providers.p.base_url: 'http"),
        (MODEL + "providers: {p: {base_url: 'http://h:99999'}}\n", "providers.p.base_url: 'http"),
    ],
)
def test_a_problem_names_line_field_value_and_fix(text: str, message: str) -> None:
    """The message is one line and says what to change."""
    with pytest.raises(ConfigError) as caught:
        load_text(text, {})
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_and_a_binary_file_are_one_line(tmp_path: Path) -> None:
    """The path is named."""
    binary = tmp_path / "t.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", binary):
        with pytest.raises(ConfigError, match=str(path)):
            load_file(path)


def test_a_secret_comes_from_the_environment_and_stays_out_of_the_digest() -> None:
    """Two keys give the same content hash."""
    text = MODEL + "providers: {p: {base_url: http://h/v1, api_key: '${KEY}'}}\n"
    one, two = load_text(text, {"KEY": "a"}), load_text(text, {"KEY": "b"})
    assert one.providers["p"].api_key == "a"
    assert digest(one) == digest(two) != digest(load_text(MODEL, {}))


def test_a_secret_is_not_shown_in_an_error() -> None:
    """A wrong key type names the field, not the value."""
    text = MODEL + "providers:\n  p: {base_url: http://h/v1, api_key: [s3cret]}\n"
    with pytest.raises(ConfigError) as caught:
        load_text(text, {})
    assert "s3cret" not in str(caught.value)


def test_a_variable_without_quotes_is_named_as_the_cause() -> None:
    """Between braces YAML reads the variable's own brace; the line says what to do."""
    with pytest.raises(ConfigError, match=r'line 1: not valid YAML: .*put "\$\{NAME\}" in quotes'):
        load_text("providers: {p: {api_key: ${P_KEY}}}\n", {"P_KEY": "k"})


def test_a_date_is_read_as_it_is_written() -> None:
    """A price's date needs no quotes, though YAML has a type of its own for it."""
    text = "models: {m: {model: a/b, price: {input: 1, output: 2, date: 2026-11-01}}}\ndefault: m\n"
    price = load_text(text, {}).models["m"].price
    assert getattr(price, "date", None) == "2026-11-01"


def test_a_pasted_model_map_means_the_recipe() -> None:
    """The dictionary as it stands in a script, as YAML or as a mapping, is the same config."""
    pasted = """MODEL_MAP = {
        "simple_qa": "a/cheap",   # the cheap one
        "creative": "b/strong",
        "unsafe": None,
    }"""
    mapping = {"simple_qa": "a/cheap", "creative": "b/strong", "unsafe": None}
    config = load_text(pasted, {})
    assert config == load_mapping({"MODEL_MAP": mapping}, {})
    assert config == load_mapping({"routes": mapping}, {})
    assert (config.default, config.routes["unsafe"]) == ("a/cheap", "block")
    assert list(config.models) == ["a/cheap", "b/strong"]


def test_models_say_more_of_a_pasted_map() -> None:
    """Such as a price that is not known; the map's other models stand as they are."""
    more = "\nmodels:\n  b/strong: {model: b/strong, price: unknown}\n"
    config = load_text('MODEL_MAP = {\n"code": "a/cheap",\n"creative": "b/strong"}' + more, {})
    assert {name: m.price for name, m in config.models.items()} == {
        "a/cheap": None,
        "b/strong": "unknown",
    }
    assert config.default == "a/cheap"


PROVIDER = "providers: {p: {base_url: http://h/v1, %s}}\n"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("ledger: true", "ledger: True: give text; quotes make it text"),
        ("fallbacks: m", "fallbacks: 'm': give names with values"),
        ("serve: {origins: '*'}", "serve.origins: '*': give a list"),
        ("serve: {origins: ['https://a.b/c']}", "serve.origins.0: 'https://a.b/c': use a scheme"),
        ("serve: {origins: ['*']}", "serve.origins.0: '*': use a scheme"),
        ("knobs: {intents: {code: {quality: 1}}}", "'code' is not in intents; add it there"),
        ("policy: {name: weighted, weights: {fast: 0}}", "one above 0 at least"),
        (PROVIDER % "headers: {A B: c}", "providers.p.headers.A B: holds what no header may"),
        (PROVIDER % 'headers: {A: "b\\nc"}', "providers.p.headers.A: holds what no header may"),
        (PROVIDER % 'api_key: "b\\nc"', "providers.p.api_key: holds what no header may"),
        ("providers: {p: {base_url: 'https://h/v1?x=1'}}", "'https://h/v1?x=1': holds a query"),
        (
            "providers: {p: {base_url: 'https://h/v1/chat/completions'}}",
            "ends with the path of a call; leave out /chat/completions",
        ),
        ("intents: {unsafe: allow}", "'allow' is not in models; block refuses such prompts"),
        (PROVIDER % "api_key: $KEY", "providers.p.api_key: holds a '$' that names no variable"),
        (PROVIDER % 'api_key: "${ KEY }"', "providers.p.api_key: holds a '$' that names no"),
        ("ledger: '${DATA:-x}/l.db'", "ledger: holds a '$' that names no variable"),
        ("timeouts: {total_s: yes}", "timeouts.total_s: True: give a number"),
        ("retries: {retries: on}", "retries.retries: True: give a number"),
        ("timeouts: {total_s: .inf}", "timeouts.total_s: inf: input should be less"),
        ("timeouts: {total_s: 10:00}", "timeouts.total_s: '10:00': input should be a valid number"),
        ("policy: {name: weighted, weights: {fast: .inf}}", "policy.weights.fast: inf: input"),
        ("policy:", "policy: is empty; give it a value, or leave it out"),
        ("refusal: !env NAME", "!env 'NAME' cannot be read"),
        ("refusal: !!int x", "!!int 'x' cannot be read"),
        ("? [a]\n: b", "a name must be one word or text"),
        ("<<: {refusal: no}", "'<<' does not merge"),
        ("intents: {code: fast}\nMODEL_MAP: {}", "it is another name for intents"),
        ("a: " + "[" * 70 + "1" + "]" * 70, "nested more than 64 levels deep"),
    ],
)
def test_an_unusable_value_is_refused_with_usable_ones(more: str, message: str) -> None:
    """Shapes in words of YAML; what would never match or never be sent is refused at once."""
    with pytest.raises(ConfigError) as caught:
        load_text(MODEL + more + "\n", {})
    assert message in str(caught.value)
    assert re.search("line [45]: ", str(caught.value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: &a\n  fast: *a\n", "line 1: is nested more than 64 levels deep"),
        ("a: " + "[" * 5000 + "]" * 5000, "is nested more than 64 levels deep"),
        (
            "a0: &a0 [1]\n" + "".join(f"a{n + 1}: &a{n + 1} [{f'*a{n},' * 9}]\n" for n in range(9)),
            "holds more than 100,000 values",
        ),
    ],
)
def test_aliases_and_depth_without_an_end_are_refused(text: str, message: str) -> None:
    """One line, at once, whatever the file makes of itself."""
    with pytest.raises(ConfigError, match=message):
        load_text(text, {})


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    """It would be shown wherever the address is."""
    text = MODEL + "providers: {p: {base_url: 'https://me:hush@h/v1'}}\n"
    with pytest.raises(ConfigError, match="put these into api_key or headers") as caught:
        load_text(text, {})
    assert "hush" not in str(caught.value)


def test_a_number_with_leading_zeros_is_as_it_is_written() -> None:
    """YAML would read it in eights."""
    config = load_text(
        "models: {m: {model: a, price: unknown, max_output: 0100}}\ndefault: m\n", {}
    )
    assert config.models["m"].max_output == 100


def test_a_dollar_sign_in_a_text_is_a_dollar_sign() -> None:
    """Only what names a variable is replaced there."""
    assert load_text(MODEL + "refusal: 'costs $5 or ${6}'\n", {}).refusal == "costs $5 or ${6}"


def test_a_price_beyond_all_reason_is_refused() -> None:
    """It would be too large for the sums."""
    text = "models: {m: {model: a/b, price: {input: 1e400, output: 2}}}\ndefault: m\n"
    with pytest.raises(ConfigError, match=r"models.m.price.input: .*less than or equal to 1000000"):
        load_text(text, {})


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("auto", "'auto' is taken: it asks for a choice"),
        ("cheapest", "'cheapest' is taken: it asks for a choice"),
        ("fast", "'fast' is a model, too, and requests for it would go to 'strong'"),
    ],
)
def test_an_intent_does_not_hide_another_name(label: str, words: str) -> None:
    """Whoever asks for that would get another model; a model's own intent may have its name."""
    text = (
        "models: {fast: {model: a/b, price: unknown}, strong: {model: a/c, price: unknown}}\n"
        "default: fast\nintents: {%s: %s}\n"
    )
    with pytest.raises(ConfigError, match=f"intents.{label}: {words}"):
        load_text(text % (label, "strong"), {})
    assert load_text(text % ("strong", "strong"), {}).routes == {"strong": "strong"}


@pytest.mark.parametrize("name", ["auto", "cheapest"])
def test_a_model_cannot_have_a_name_that_asks_for_a_choice(name: str) -> None:
    """It could never be asked for by that name."""
    text = f"models: {{{name}: {{model: a/b, price: unknown}}}}\ndefault: {name}\n"
    with pytest.raises(ConfigError, match=f"models.{name}: '{name}' is taken"):
        load_text(text, {})
