"""The OpenAPI document of the routes, made of the types that they read and write."""

from __future__ import annotations

from typing import Any

import msgspec

from maskfork.deploy.serve.refused import OpenAIError, TeiError
from maskfork.deploy.serve.routes.route import Route


def described(routes: list[Route], version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these routes, made of the types that they read and write."""
    types = [t for route in routes for t in (*_types(route.body), *_types(route.gives))]
    schemas, parts = msgspec.json.schema_components([*types, TeiError, OpenAIError], ref_template="#/components/schemas/{name}")
    found = iter(schemas)
    paths: dict[str, Any] = {}
    for route in routes:
        body, gives = (_one_of([next(found) for _ in _types(kind)]) for kind in (route.body, route.gives))
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, body, gives)
    return {
        "openapi": "3.1.0",
        "info": {"title": "maskfork serve", "version": version},
        "paths": paths,
        "components": {"schemas": parts, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _types(kind: Any) -> tuple[Any, ...]:
    return kind if isinstance(kind, tuple) else () if kind is None else (kind,)


def _one_of(schemas: list[dict[str, Any]]) -> dict[str, Any] | None:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas} if schemas else None


def _operation(route: Route, body: Any, gives: Any) -> dict[str, Any]:
    kind = "OpenAIError" if route.path.startswith("/v1/") else "TeiError"
    fault = {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind}"}}}
    content: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    if gives is not None:
        content = {"application/json": {"schema": gives}}
    if route.streams:
        # The schema is of one event, as OpenAPI 3.2's itemSchema and the fuzzers read it.
        event = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
        content["text/event-stream"] = {"schema": event}
    faults = {} if route.free else {"401": "No API key, or a wrong one."}
    if route.path == "/ready":
        faults |= {"503": "The server is stopping."}
    open_part = route.path.partition("{")[2].rstrip("}")
    if open_part:
        faults |= {"404": "There is none of this name."}
    if body is not None:
        faults |= {
            "400": "The body is no JSON.",
            "404": "No such model, or none that does this.",
            "408": "The request did not arrive in time.",
            "413": "Too large, too many texts, or too long with truncate=false.",
            "422": "JSON of another shape, or what the model cannot read.",
            "429": "The queue is full: come back after Retry-After seconds.",
            "503": "The model is being taken away.",
        }
    said: dict[str, Any] = {
        "summary": route.line,
        "operationId": f"{route.method.lower()}{route.path.replace('/', '_')}",
        "responses": {
            "200": {"description": "The answer.", "content": content},
            **{status: {"description": line, "content": fault} for status, line in sorted(faults.items())},
        },
        "security": [] if route.free else [{"key": []}, {}],
    }
    if open_part:
        said["parameters"] = [{"name": open_part, "in": "path", "required": True, "schema": {"type": "string"}}]
    if body is not None:
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return said
