"""The OpenAPI document says what the gateway really answers: schemas are held to real bodies."""

from typing import Any

import jsonschema_rs
import pytest

from tests.gateway.test_embeddings import embedders
from tests.gateway.world import World, chat, messages, world
from tests.runtime.world import CODE, UNSAFE
from turnout.gateway.openapi import document
from turnout.gateway.request_headers import READ_HEADERS

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
    ("/v1/responses/input_tokens", {"input": CODE}, 200),
    ("/v1/responses/input_tokens", {"input": 5}, 400),
    ("/v1/embeddings", {"model": "vectors", "input": ["a", "b"]}, 200),
    ("/v1/embeddings", {"model": "vectors", "input": []}, 400),
    ("/v1/route", chat(CODE), 200),
    ("/v1/route", chat(UNSAFE), 200),
    ("/v1/feedback", {"decision_id": "d_x", "metric": "m", "value": 1}, 404),
]


@pytest.mark.parametrize(("path", "body", "status"), CALLS)
def test_answers_fit_their_schemas(served: World, path: str, body: Any, status: int) -> None:
    """Answers, refusals and failures alike, and each header of ours is one that is described."""
    answer = served.post(path, body)
    assert answer.status == status
    check(path, "post", status, answer.json())
    described = DOCUMENT["paths"][path]["post"]["responses"]["200"]["headers"]
    assert {name for name in answer.headers if name.startswith("x-turnout-")} <= described.keys()


def test_every_operation_has_a_name_of_its_own() -> None:
    """Generated clients call their methods by it."""
    operations = [one for path in DOCUMENT["paths"].values() for one in path.values()]
    names = {operation["operationId"] for operation in operations}
    assert len(names) == len(operations)
    assert all(name.isidentifier() for name in names)


def test_the_headers_of_requests_are_described(served: World) -> None:
    """All that the gateway reads, and what is out of their bounds is refused."""
    told = DOCUMENT["paths"]["/v1/chat/completions"]["post"]["parameters"]
    found = {one["name"]: one["schema"] for one in told if one["name"].startswith("x-turnout-")}
    assert {name.encode() for name in found} == set(READ_HEADERS)
    for name, schema in found.items():
        wrong = str(schema["maximum"] + 1) if "maximum" in schema else "not one of these"
        answer = served.post("/v1/chat/completions", chat(CODE), {name: wrong})
        assert (answer.status, answer.json()["error"]["param"]) == (400, name)


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


def test_what_is_kept_fits_its_schema(served: World) -> None:
    """An answer, its input, that it was deleted, and that it is gone."""
    kept = "/v1/responses/" + served.post("/v1/responses", {"input": CODE}).json()["id"]
    one = "/v1/responses/{id}"
    for method, path, real, status in (
        ("get", one, kept, 200),
        ("get", f"{one}/input_items", f"{kept}/input_items", 200),
        ("get", f"{one}/input_items", f"{kept}/input_items?limit=0", 400),
        ("delete", one, kept, 200),
        ("delete", one, kept, 404),
        ("get", one, kept, 404),
    ):
        answer = served.send(method.upper(), real, None)
        assert answer.status == status
        check(path, method, status, answer.json())


def test_every_reference_leads_somewhere() -> None:
    """No schema is named that is not there."""
    named = {part.split("'")[0] for part in str(DOCUMENT).split("#/components/schemas/")[1:]}
    assert named
    assert named <= DOCUMENT["components"]["schemas"].keys()


def test_every_list_says_what_is_in_it() -> None:
    """A generator of clients leaves out each call that has a list of it does not know what."""

    def array_schemas(node: Any) -> list[Any]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        found = [one for item in inner for one in array_schemas(item)]
        return [*found, node] if isinstance(node, dict) and node.get("type") == "array" else found

    assert [node for node in array_schemas(DOCUMENT) if "items" not in node] == []


def test_the_document_says_how_to_send_a_key() -> None:
    """It described one and asked for none, so clients made from it could not send theirs."""
    schemes = set(DOCUMENT["components"]["securitySchemes"])
    assert {name for asked in DOCUMENT["security"] for name in asked} == schemes
