"""OpenAPI 3.1 description of a scorer, made from the schema and the limits of the model that it runs."""

from collections.abc import Mapping
from typing import Any

from recsys.exported.manifest import WarmupRequest
from recsys.features.columns import Field
from serve.policy import Limits
from serve.request.media_types import ARROW, JSON

_INT64 = {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1}
_NUMBER = {"type": "number"}
_ERROR = {"$ref": "#/components/schemas/Error"}
STATUSES = {
    "400": "The request is not what the model's schema wants; the error says what is.",
    "401": "A token is wanted, and none or another one came.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The Content-Type is none of the two, or the body is encoded.",
    "421": "The Host is none that is served.",
    "422": "The model does not know an item, the user or a vector, and the scorer's settings refuse that.",
    "429": "Too many requests wait; send it again after Retry-After seconds.",
    "500": "The model's logits are not finite, or the scorer has a defect; its log says more.",
    "503": "It waited too long, or the scorer starts or stops; send it again after Retry-After seconds.",
}
_OF_ALL = ("401", "421")


def openapi(
    fields: Mapping[str, Field], limits: Limits, body_bytes: int, token: bool, example: WarmupRequest | None
) -> dict[str, Any]:
    """The description, as plain data.

    Args:
        fields: column -> how features read it.
        token: whether requests have to bring one.
        example: a request that the model answers.
    """
    paths = {
        "/v1/score": {"post": _score(body_bytes, example)},
        "/v1/model": {"get": _get("The version that scores: step, tables, stores, columns.", "object")},
        "/v1/slow": {"get": _get("Requests of this process that took longer than --slow-ms.", "array")},
        "/health": {"get": _get("Whether the process answers.", "object", {}, open_to_all=True)},
        "/ready": {"get": _get("Whether it scores.", "object", {"503": STATUSES["503"]}, open_to_all=True)},
        "/metrics": {"get": _get("Metrics of all processes, for Prometheus.", "string", media="text/plain")},
        "/openapi.json": {"get": _get("This description.", "object")},
    }
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "tierwise scorer", "version": "1", "description": "Scores candidates of one request."},
        "paths": paths,
        "components": {"schemas": _schemas(fields, limits)},
    }
    if token:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _score(body_bytes: int, example: WarmupRequest | None) -> dict[str, Any]:
    request: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Request"}}
    if example is not None:
        request["example"] = example.model_dump()
    arrow = {"schema": {"type": "string", "contentMediaType": ARROW}}
    answer = {JSON: {"schema": {"$ref": "#/components/schemas/Answer"}}}
    return {
        "operationId": "score",
        "summary": "Score the candidates of one request.",
        "description": f"The body has at most {body_bytes:,} bytes. Arrow: two IPC streams end to end, uncompressed, "
        "the context's one row and the candidates' N rows.",
        "requestBody": {"required": True, "content": {JSON: request, ARROW: arrow}},
        "responses": {
            "200": {
                "description": "Scores in the candidates' order.",
                "headers": {"Model-Version": {"schema": {"type": "string"}}},
                "content": answer | {ARROW: arrow},
            },
            **_errors(STATUSES),
        },
    }


def _get(
    summary: str, kind: str, errors: dict[str, str] | None = None, *, media: str = JSON,
    open_to_all: bool = False,
) -> dict[str, Any]:  # fmt: skip
    if errors is None:
        errors = {status: STATUSES[status] for status in _OF_ALL}
    content = {media: {"schema": {"type": kind}}}
    got = {"summary": summary, "responses": {"200": {"description": summary, "content": content}, **_errors(errors)}}
    return got | ({"security": []} if open_to_all else {})


def _errors(statuses: Mapping[str, str]) -> dict[str, Any]:
    content = {JSON: {"schema": _ERROR}}
    return {status: {"description": text, "content": content} for status, text in statuses.items()}


def _schemas(fields: Mapping[str, Field], limits: Limits) -> dict[str, Any]:
    context = {name: _value(field, limits) for name, field in fields.items()}
    candidates = {
        name: {"type": "array", "items": value, "maxItems": limits.candidates} for name, value in context.items()
    }
    floats = {"type": "array", "items": _NUMBER}
    places = {"type": "array", "items": {"type": "integer"}}
    by_name = {"type": "object", "additionalProperties": {"type": "string"}}
    return {
        "Request": _object(
            {
                "context": {"$ref": "#/components/schemas/Context"},
                "candidates": {"$ref": "#/components/schemas/Candidates"},
            },
            "Each column is in the context or in the candidates. N candidates make at most "
            f"{limits.pairs:,} pairs (--max-pairs): N for each value of the context's lists, and one for each value of "
            "the candidates' lists, once lists are cut.",
            closed=True,
        ),
        "Context": _object(context, "What all candidates share: column, value.", wanted=[]),
        "Candidates": _object(candidates, "Column, a list with a value for each candidate.", wanted=[]),
        "Answer": _object(
            {
                "scores": floats | {"description": "Probabilities of a click."},
                "logits": floats,
                "version": {"type": "string", "description": "The model's, that scored all of it."},
                "stores": by_name | {"description": "Modality, checksum of its vectors."},
                "unknown": _object(
                    {
                        "items": places | {"description": "Places of candidates that were not trained on."},
                        "user": {"type": "boolean", "description": "Whether the user was not trained on."},
                        "vectors": {
                            "type": "object",
                            "additionalProperties": places,
                            "description": "Modality, places of candidates without a vector.",
                        },
                    },
                    "What the model does not know.",
                ),
                "truncated": {
                    "type": "object",
                    "additionalProperties": {"type": "integer"},
                    "description": "Feature, lists that were cut to their newest max_length values.",
                },
            },
            "Of N candidates.",
        ),
        "Error": _object({"error": {"type": "string"}}, "What was wrong, and what is wanted."),
    }


def _object(
    properties: Mapping[str, Any], description: str, *, wanted: list[str] | None = None, closed: bool = False
) -> dict[str, Any]:
    described = {"type": "object", "description": description, "properties": dict(properties)}
    described |= {"required": list(properties) if wanted is None else wanted}
    return described | ({"additionalProperties": False} if closed else {})


def _value(field: Field, limits: Limits) -> dict[str, Any]:
    if field.kind == "float":
        return dict(_NUMBER)
    if field.kind != "list":
        return dict(_INT64)
    read = f"; the newest {field.max_length:,} are read" if field.max_length else ""
    return {
        "type": "array",
        "items": dict(_INT64),
        "maxItems": limits.list_values,
        "description": f"Oldest first{read}.",
    }
