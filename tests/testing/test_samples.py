"""What the upstream says where a schema asks for a shape."""

from turnout.testing.samples import sample


def test_references_into_the_schema_are_followed() -> None:
    """By name, and through alternatives that hold the schema itself."""
    a = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}},
    }
    found = sample({"$ref": "#/$defs/A", "$defs": {"A": a}}, "x")
    depth = 0
    while found is not None:
        found, depth = found["next"], depth + 1
    assert depth > 1


def test_a_reference_to_nowhere_is_a_text() -> None:
    """One that is elsewhere, one that is missing, and one to itself: all end."""
    for reference in ("http://127.0.0.1:9/schema.json", "#/$defs/none", "#"):
        assert sample({"$ref": reference}, "x") == "x"
