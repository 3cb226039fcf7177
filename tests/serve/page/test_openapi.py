"""The OpenAPI description: its structure, the model's columns and limits, and that its example is a request of it."""

import json
from typing import Any

import pytest

from recsys.exported.manifest import WarmupRequest
from recsys.features.columns import Field
from serve.page.openapi import openapi
from serve.policy import Limits

FIELDS = {
    "item": Field("item", "id"),
    "price": Field("price", "float"),
    "history": Field("history", "list", 30),
    "tags": Field("tags", "list"),
}
EXAMPLE = WarmupRequest(context={"history": [1, 2]}, candidates={"item": [3], "price": [0.5], "tags": [[4]]})


@pytest.fixture
def description() -> dict[str, Any]:
    return openapi(FIELDS, Limits(candidates=100, list_values=1000, pairs=54_321), 4 << 20, True, EXAMPLE)


def references(value: object) -> list[str]:
    if isinstance(value, dict):
        found = [value["$ref"]] if "$ref" in value else []
        return [*found, *(r for inner in value.values() for r in references(inner))]
    return [r for inner in value for r in references(inner)] if isinstance(value, list) else []


def fits(schema: dict[str, Any], value: object, described: dict[str, Any]) -> bool:
    """Whether ``value`` is what a schema of the few words that are used here asks for."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return fits(described["components"]["schemas"][name], value, described)
    kinds = {"integer": int, "number": (int, float), "string": str, "array": list, "object": dict, "boolean": bool}
    if not isinstance(value, kinds[schema["type"]]):
        return False
    if isinstance(value, list):
        return len(value) <= schema.get("maxItems", 10**9) and all(fits(schema["items"], v, described) for v in value)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return set(schema["required"]) <= value.keys() and all(
            key in known and fits(known[key], inner, described) for key, inner in value.items()
        )
    return True


def test_has_the_structure_of_openapi(description):
    assert json.loads(json.dumps(description)) == description
    assert description["openapi"].startswith("3.1.") and {"title", "version"} <= description["info"].keys()
    for path, item in description["paths"].items():
        assert path.startswith("/") and item.keys() <= {"get", "post"}
        for operation in item.values():
            assert operation["responses"] and all(
                status.isdigit() and response["description"] for status, response in operation["responses"].items()
            )
            for response in operation["responses"].values():
                assert all("schema" in content for content in response["content"].values())
    for reference in references(description):
        place: Any = description
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]
        assert place["type"] == "object"
    for schema in description["components"]["schemas"].values():
        assert set(schema["required"]) <= schema["properties"].keys()


def test_has_the_columns_kinds_and_limits_of_the_model(description):
    schemas = description["components"]["schemas"]
    context, candidates = schemas["Context"]["properties"], schemas["Candidates"]["properties"]
    assert context.keys() == candidates.keys() == FIELDS.keys()
    assert (context["item"]["type"], context["item"]["format"]) == ("integer", "int64")
    assert context["price"]["type"] == "number"
    assert (context["history"]["type"], context["history"]["maxItems"]) == ("array", 1000)
    assert "newest 30" in context["history"]["description"] and "newest" not in context["tags"]["description"]
    assert candidates["item"]["maxItems"] == 100 and candidates["tags"]["items"]["items"]["type"] == "integer"
    assert "at most 54,321 pairs" in schemas["Request"]["description"]
    assert "4,194,304" in description["paths"]["/v1/score"]["post"]["description"]


def test_its_example_is_a_request(description):
    content = description["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
    assert content["example"] == EXAMPLE.model_dump()
    assert fits(content["schema"], content["example"], description)
    assert not fits(content["schema"], {"context": {}}, description)
    without = openapi(FIELDS, Limits(), 1, False, None)["paths"]["/v1/score"]["post"]["requestBody"]
    assert "example" not in without["content"]["application/json"]


def test_says_whether_a_token_is_wanted(description):
    assert description["security"] == [{"token": []}] and description["paths"]["/ready"]["get"]["security"] == []
    without = openapi(FIELDS, Limits(), 1, False, None)
    assert "security" not in without and "securitySchemes" not in without["components"]
