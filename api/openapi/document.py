"""The OpenAPI document, built from the types of queries and response bodies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core.core_schema import WithDefaultSchema

from api.endpoint import Operation, operation_of
from api.errors import PROBLEM_JSON
from api.middleware.auth import CHALLENGES, OPEN_PATH
from api.schemas.common import Problem
from api.schemas.provider import ProviderGroup
from recorder.queries.formats import CSV, JSON

_REF = "#/components/schemas/{model}"
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a token"},
    "basic": {"type": "http", "scheme": "basic", "description": "any user, and a token as the password"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "a token"},
}
_ETAG = {
    "description": "send it back as If-None-Match to get 304 if the response has not changed",
    "schema": {"type": "string"},
}
_LINK = {
    "description": 'the next page, relative to this one, rel="next"; missing on the last',
    "schema": {"type": "string"},
}
_DATA_AGE = {
    "description": "how old the data is, in seconds: more than 0 only if it is read from a standby",
    "schema": {"type": "integer"},
}
_HEADERS = {
    200: {"ETag": _ETAG},
    401: {
        "WWW-Authenticate": {
            "description": "the challenges " + " and ".join(CHALLENGES),
            "schema": {"type": "string"},
        }
    },
    503: {"Retry-After": {"description": "when to try again, in seconds", "schema": {"type": "integer"}}},
}
_PROVIDER_HEADERS = {
    "Age": {
        "description": "how long ago the status was last seen, in seconds",
        "schema": {"type": "integer"},
    },
    "Last-Modified": {"description": "when the status was first seen", "schema": {"type": "string"}},
}
_CSV_SCHEMA = {
    "type": "string",
    "description": "a header line and the rows of the SQL view; RFC 4180. The same path with .ndjson in "
    "place of .csv has the items as JSON, one per line",
}
_EXPORT_HEADERS = {
    "Content-Disposition": {"description": "suggests a file name", "schema": {"type": "string"}},
    "X-Total-Items": {
        "description": "the number of items; missing if it is not known beforehand",
        "schema": {"type": "integer"},
    },
    "Age": _DATA_AGE,
}
_PATH_PARAMETER = {
    "name": "taskgroup_id",
    "in": "path",
    "required": True,
    "description": "the group's id, percent-encoded UTF-8",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_HEADER_PARAMETERS = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "a text of your choice, such as a UUID: of several requests about a group with the "
        "same key, one is carried out",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    }
}
_DESCRIPTIONS = {
    200: "success",
    201: "success; at least one group was not being watched before",
    401: "no valid token was sent",
    403: "the request's Host is not a loopback name of the server's machine, or enrolment is off or not "
    "allowed",
    404: "no such group",
    410: "the group is archived",
    406: "the header Accept excludes every type that the route has",
    409: "the group is not watched, so nothing can be expected of it",
    413: "the body is too large",
    415: "the body is not declared to be JSON",
    422: "bad parameters, or bad members of the body; all of them are listed",
    500: "a bug in the server",
    503: "the database cannot be used, or has another schema",
}


class _AnswerSchemas(GenerateJsonSchema):
    """Schemas without defaults: a member that a response leaves out is missing, whatever its default."""

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def openapi_document(app: Flask, *, with_tokens: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the documented views of `app`."""
    operations = sorted(_operations(app), key=lambda item: item[1].method)
    paths: dict[str, Any] = {}
    refusal = 401 if with_tokens else 403
    for path, found in operations:
        paths.setdefault(path, {})[found.method] = _operation(path, found, refusal)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Task Group Recorder",
            "version": version("task-group-recorder"),
            "description": "The recording of task groups: their current state, their history, how long they "
            "took, and when they were not seen. Groups can be enrolled; all else is read-only. Times are "
            "UTC, durations are in seconds, and unknown values are null. [Errors](/docs/problems) explain "
            "what is wrong and what is allowed.",
        },
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": _schemas([found for _, found in operations])},
    }
    return _secured(document) if with_tokens else document


def _secured(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the security schemes; all paths but one require a token."""
    public = document["paths"][OPEN_PATH]["get"]
    public["security"] = []
    del public["responses"]["401"]
    return {
        **document,
        "components": {**document["components"], "securitySchemes": _SECURITY_SCHEMES},
        "security": [{name: []} for name in _SECURITY_SCHEMES],
    }


def _operations(app: Flask) -> Iterator[tuple[str, Operation]]:
    for rule in app.url_map.iter_rules():
        found = operation_of(app.view_functions[rule.endpoint])
        if found is not None:
            yield re.sub(r"<(\w+)>", r"{\1}", rule.rule), found


def _operation(path: str, found: Operation, refusal: int) -> dict[str, Any]:
    in_path = [_PATH_PARAMETER] if "{taskgroup_id}" in path else []
    problems = {refusal: found.refused} | found.problems
    in_headers = [_HEADER_PARAMETERS[name] for name in found.headers]
    body = {} if found.body is None else {"requestBody": _request_body(found.name, found.body)}
    return {
        "operationId": found.name,
        "tags": [found.tag],
        "summary": found.summary,
        "parameters": [*in_path, *in_headers, *_parameters(found)],
        **body,
        "responses": {
            **{str(status): _answer(found, status) for status in found.statuses},
            **{
                str(status): _response(status, PROBLEM_JSON if issubclass(body, Problem) else JSON, body)
                for status, body in sorted(problems.items())
            },
        },
    }


@cache
def _examples() -> dict[str, Any]:
    """Return an example response per operation name, and an example problem per HTTP status code."""
    found: dict[str, Any] = json.loads(
        files("api.openapi").joinpath("examples.json").read_text(encoding="utf-8")
    )
    return found


def _request_body(name: str, body: type[BaseModel]) -> dict[str, Any]:
    content = {"schema": {"$ref": _REF.format(model=body.__name__)}, "example": _examples()[f"{name} body"]}
    return {"required": True, "content": {JSON: content}}


def _answer(found: Operation, status: int) -> dict[str, Any]:
    if found.is_export:
        content = {CSV: {"schema": _CSV_SCHEMA}}
        return {"description": _DESCRIPTIONS[200], "headers": _EXPORT_HEADERS, "content": content}
    if found.answer is None:
        return {
            "description": _DESCRIPTIONS[200],
            "content": {found.content_type: {"schema": {"type": "string"}}},
        }
    response = _response(status, JSON, found.answer)
    response["content"][JSON]["example"] = _examples().get(found.name)
    if found.body is not None:
        response.pop("headers", None)
        return response
    if 503 in found.problems:
        # It reads the database.
        response["headers"] = {**response["headers"], "Age": _DATA_AGE}
    if found.answer is ProviderGroup:
        response["headers"] = {**response["headers"], **_PROVIDER_HEADERS}
    if "cursor" in found.query.model_fields:
        response["headers"] = {**response["headers"], "Link": _LINK}
    return response


def _parameters(found: Operation) -> Iterator[dict[str, Any]]:
    properties = found.query.model_json_schema().get("properties", {})
    for name, schema in properties.items():
        if name in found.absent:
            continue
        kept = {key: value for key, value in schema.items() if key not in {"title", "description"}}
        if kept.get("default", "") in (None, {}):
            del kept["default"]
        # A parameter such as metadata[KEY]=VALUE.
        style = {"style": "deepObject", "explode": True} if schema.get("type") == "object" else {}
        yield {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema["description"],
            "schema": kept,
            **style,
        }


def _response(status: int, mimetype: str, body: type[BaseModel]) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=body.__name__)}
    response: dict[str, Any] = {
        "description": _DESCRIPTIONS[status],
        "content": {mimetype: {"schema": schema}},
    }
    if body is Problem:
        response["content"][mimetype]["example"] = _examples()[str(status)]
    if status in _HEADERS:
        response["headers"] = _HEADERS[status]
    return response


def _schemas(operations: Any) -> dict[str, Any]:
    found = [(one.answer, one.body, one.refused, *one.problems.values()) for one in operations]
    bodies = {body for bodies in found for body in bodies if body is not None}
    ordered = sorted(bodies, key=lambda body: body.__name__)
    _, definitions = models_json_schema(
        [(body, "validation") for body in ordered], ref_template=_REF, schema_generator=_AnswerSchemas
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas
