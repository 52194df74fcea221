"""The OpenAPI document says what the gateway really answers: schemas are held to real bodies."""

from typing import Any

import jsonschema_rs
import pytest

from tests.gateway.test_embeddings import embedders
from tests.gateway.world import World, chat, messages, world
from tests.runtime.world import CODE, UNSAFE
from turnout.gateway.openapi import document

DOCUMENT = document()


def check(path: str, method: str, status: int, body: Any) -> None:
    """The body fits the schema of that path's answer."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    answer = responses.get(str(status)) or responses[f"{status // 100}XX"]
    schema = answer["content"]["application/json"]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    errors = [error.message for error in jsonschema_rs.validator_for(whole).iter_errors(body)]
    assert errors == [], (path, status, errors)


@pytest.fixture(scope="module")
def served() -> Any:
    """One gateway for all of them."""
    with world(embedding=embedders(), models={"strong": "f-500"}) as w:
        yield w


CALLS: list[tuple[str, Any, int]] = [
    ("/v1/chat/completions", chat(CODE), 200),
    ("/v1/chat/completions", chat(UNSAFE), 200),
    ("/v1/chat/completions", chat(model="strong"), 502),
    ("/v1/chat/completions", {"messages": []}, 400),
    ("/v1/chat/completions", chat(model="nobody"), 404),
    ("/v1/messages", messages(CODE), 200),
    ("/v1/messages", messages(UNSAFE), 200),
    ("/v1/messages", messages(model="strong"), 502),
    ("/v1/messages", {"messages": []}, 400),
    ("/v1/messages/count_tokens", messages(CODE), 200),
    ("/v1/responses", {"input": CODE}, 200),
    ("/v1/responses", {"input": UNSAFE}, 200),
    ("/v1/responses", {"input": "x", "previous_response_id": "resp_1"}, 400),
    ("/v1/embeddings", {"model": "vectors", "input": ["a", "b"]}, 200),
    ("/v1/embeddings", {"model": "vectors", "input": []}, 400),
    ("/v1/route", chat(CODE), 200),
    ("/v1/route", chat(UNSAFE), 200),
    ("/v1/feedback", {"decision_id": "d_x", "metric": "m", "value": 1}, 404),
]


@pytest.mark.parametrize(("path", "body", "status"), CALLS)
def test_answers_fit_their_schemas(served: World, path: str, body: Any, status: int) -> None:
    """Answers, refusals and failures alike."""
    answer = served.post(path, body)
    assert answer.status == status
    check(path, "post", status, answer.json())


def test_what_is_looked_up_fits_its_schema(served: World) -> None:
    """Models, a decision with its feedback, health and readiness."""
    ident = served.post("/v1/chat/completions", chat(CODE)).headers["x-turnout-decision"]
    told = {"decision_id": ident, "metric": "thumb", "value": 1}
    check("/v1/feedback", "post", 200, served.post("/v1/feedback", told).json())
    for path, real in (
        ("/v1/decisions/{id}", f"/v1/decisions/{ident}"),
        ("/v1/models", "/v1/models"),
        ("/v1/models/{id}", "/v1/models/fast"),
        ("/healthz", "/healthz"),
        ("/readyz", "/readyz"),
    ):
        answer = served.get(real)
        check(path, "get", answer.status, answer.json())


def test_every_reference_leads_somewhere() -> None:
    """No schema is named that is not there."""
    named = {part.split("'")[0] for part in str(DOCUMENT).split("#/components/schemas/")[1:]}
    assert named
    assert named <= DOCUMENT["components"]["schemas"].keys()


def test_every_list_says_what_is_in_it() -> None:
    """A generator of clients leaves out each call that has a list of it does not know what."""

    def lists(node: Any) -> list[Any]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        found = [one for item in inner for one in lists(item)]
        return [*found, node] if isinstance(node, dict) and node.get("type") == "array" else found

    assert [node for node in lists(DOCUMENT) if "items" not in node] == []


def test_the_document_says_how_to_send_a_key() -> None:
    """It described one and asked for none, so clients made from it could not send theirs."""
    schemes = set(DOCUMENT["components"]["securitySchemes"])
    assert {name for asked in DOCUMENT["security"] for name in asked} == schemes
