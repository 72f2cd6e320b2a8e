"""JSON schemas drawn by lot, and the shapes of well-known public ones, written by hand."""

from __future__ import annotations

import random
from typing import Any

Schema = dict[str, Any]
WORDS = ["name", "id", "size", "kind", "städte", "a b", "x", "note", "long_property_name", "$meta", 'quo"te', "tab\t", "0", "é"]
PATTERNS = ["^[a-z]+$", "^[A-Z]{2}[0-9]{3}$", "^(red|green|blue)( light)?$", "^#[0-9a-f]{6}$", "^a*b+$", "^\\d{2}:\\d{2}$"]
FORMATS = ["date", "time", "date-time", "uuid", "ipv4", "email", "hostname"]


def drawn(seed: int) -> Schema:
    """Any schema of what llguidance keeps, sometimes with definitions that name themselves."""
    rng = random.Random(seed)
    schema = _any(rng, rng.randint(1, 4), "tree" if rng.random() < 0.3 else None)
    if "tree" in str(schema):
        leaf = _any(rng, 1, None)
        tree = {
            "type": "object",
            "properties": {"value": leaf, "below": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 3}},
            "required": ["value", "below"][: rng.randint(0, 2)],
            "additionalProperties": False,
        }
        schema = {**schema, "$defs": {"tree": tree}}
    return schema


def _any(rng: random.Random, depth: int, name: str | None) -> Schema:
    if name is not None and rng.random() < 0.3:
        return {"$ref": f"#/$defs/{name}"}
    kinds = [_string, _integer, _number, _fixed, _enum]
    if depth > 0:
        kinds = [*kinds[:3], _object, _object, _object, _array, _array, _one_of_some]
    return rng.choice(kinds)(rng, depth - 1, name)


def _object(rng: random.Random, depth: int, name: str | None) -> Schema:
    keys = rng.sample(WORDS, rng.randint(0, 5))
    schema: Schema = {"type": "object", "properties": {key: _any(rng, depth, name) for key in keys}}
    schema["required"] = [key for key in keys if rng.random() < 0.6]
    if rng.random() < 0.7:
        schema["additionalProperties"] = rng.choice([False, False, True, {"type": "integer"}])
    return schema


def _array(rng: random.Random, depth: int, name: str | None) -> Schema:
    schema: Schema = {"type": "array", "items": _any(rng, depth, name)}
    if rng.random() < 0.3:
        schema["prefixItems"] = [_any(rng, depth, name) for _ in range(rng.randint(1, 3))]
        schema["items"] = rng.choice([False, True, schema["items"]])
    if schema["items"] is not False and rng.random() < 0.7:
        schema["minItems"] = rng.randint(0, 4)
        schema["maxItems"] = schema["minItems"] + rng.randint(0, 3)
    return schema


def _string(rng: random.Random, depth: int, name: str | None) -> Schema:
    schema: Schema = {"type": "string"}
    match rng.randint(0, 4):
        case 0:
            schema["pattern"] = rng.choice(PATTERNS)
        case 1:
            schema["format"] = rng.choice(FORMATS)
        case 2:
            schema["minLength"] = rng.randint(0, 30)
            schema["maxLength"] = schema["minLength"] + rng.randint(0, 10)
        case 3:
            schema["minLength"] = rng.randint(0, 12)
    return schema


def _integer(rng: random.Random, depth: int, name: str | None) -> Schema:
    schema: Schema = {"type": "integer"}
    if rng.random() < 0.7:
        schema["minimum"] = rng.randint(-2000, 2000)
        schema["maximum"] = schema["minimum"] + rng.randint(7, 900)
        if rng.random() < 0.3:
            schema["multipleOf"] = rng.choice([2, 3, 7])
    return schema


def _number(rng: random.Random, depth: int, name: str | None) -> Schema:
    schema: Schema = {"type": "number"}
    if rng.random() < 0.6:
        schema[rng.choice(["minimum", "exclusiveMinimum"])] = rng.choice([-3.5, 0, 0.25, 17])
        schema[rng.choice(["maximum", "exclusiveMaximum"])] = rng.choice([17.5, 99, 1000.125])
    return schema


def _fixed(rng: random.Random, depth: int, name: str | None) -> Schema:
    return rng.choice([{"type": "boolean"}, {"type": "null"}, {"const": "ja\n"}, {"const": {"a": [1, 2.5]}}, {"const": -7}])


def _enum(rng: random.Random, depth: int, name: str | None) -> Schema:
    return {
        "enum": rng.sample(
            ["red", "green", "blue", 1, 2.5, None, False, ["x", 1], {"k": "v"}, "", "rot\u00e9"], rng.randint(1, 5)
        )
    }


def _one_of_some(rng: random.Random, depth: int, name: str | None) -> Schema:
    if rng.random() < 0.3:
        return {"type": rng.sample(["string", "integer", "null", "boolean", "array", "object"], rng.randint(2, 3))}
    return {"anyOf": [_any(rng, depth, name) for _ in range(rng.randint(2, 3))]}


POINT = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
TEXT = {"type": "string"}
LINK = {"type": "string", "format": "uri"}
#: what these public formats look like, by their documentation
PUBLIC: dict[str, Schema] = {
    "geojson": {
        "type": "object",
        "required": ["type", "geometry", "properties"],
        "properties": {
            "type": {"const": "Feature"},
            "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4},
            "geometry": {
                "anyOf": [
                    {"type": "null"},
                    {
                        "type": "object",
                        "required": ["type", "coordinates"],
                        "properties": {"type": {"const": "Point"}, "coordinates": POINT},
                    },
                    {
                        "type": "object",
                        "required": ["type", "coordinates"],
                        "properties": {
                            "type": {"const": "LineString"},
                            "coordinates": {"type": "array", "items": POINT, "minItems": 2},
                        },
                    },
                ]
            },
            "properties": {"anyOf": [{"type": "null"}, {"type": "object"}]},
        },
    },
    "package.json": {
        "type": "object",
        "required": ["name", "version"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 214, "pattern": "^[a-z0-9-~][a-z0-9-._~]*$"},
            "version": {"type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$"},
            "private": {"type": "boolean"},
            "keywords": {"type": "array", "items": TEXT},
            "scripts": {"type": "object", "additionalProperties": TEXT},
            "dependencies": {"type": "object", "additionalProperties": TEXT},
            "author": {"anyOf": [TEXT, {"type": "object", "required": ["name"], "properties": {"name": TEXT, "url": LINK}}]},
        },
    },
    "openapi": {
        "type": "object",
        "required": ["openapi", "info", "paths"],
        "properties": {
            "openapi": {"type": "string", "pattern": "^3\\.1\\.[0-9]+$"},
            "info": {"type": "object", "required": ["title", "version"], "properties": {"title": TEXT, "version": TEXT}},
            "servers": {"type": "array", "items": {"type": "object", "required": ["url"], "properties": {"url": TEXT}}},
            "paths": {
                "type": "object",
                "patternProperties": {"^/": {"type": "object", "properties": {"get": {"$ref": "#/$defs/operation"}}}},
                "additionalProperties": False,
            },
        },
        "$defs": {
            "operation": {
                "type": "object",
                "required": ["responses"],
                "properties": {"summary": TEXT, "responses": {"type": "object"}},
            }
        },
    },
    "json-rpc": {
        "type": "object",
        "required": ["jsonrpc", "method"],
        "additionalProperties": False,
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "method": {"type": "string", "minLength": 1},
            "params": {"anyOf": [{"type": "array"}, {"type": "object"}]},
            "id": {"type": ["string", "integer", "null"]},
        },
    },
    "json feed": {
        "type": "object",
        "required": ["version", "title", "items"],
        "properties": {
            "version": {"const": "https://jsonfeed.org/version/1.1"},
            "title": TEXT,
            "home_page_url": LINK,
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id"],
                    "properties": {
                        "id": TEXT,
                        "url": LINK,
                        "content_text": TEXT,
                        "date_published": {**TEXT, "format": "date-time"},
                    },
                },
            },
        },
    },
    "resume": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "basics": {
                "type": "object",
                "properties": {"name": TEXT, "email": {**TEXT, "format": "email"}, "phone": TEXT, "url": LINK},
            },
            "work": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"name": TEXT, "startDate": {**TEXT, "pattern": "^[12][0-9]{3}-[01][0-9]-[0-3][0-9]$"}},
                },
            },
        },
        "required": ["basics"],
    },
    "tsconfig": {
        "type": "object",
        "properties": {
            "compilerOptions": {
                "type": "object",
                "properties": {
                    "target": {"enum": ["es5", "es2015", "es2022", "esnext"]},
                    "strict": {"type": "boolean"},
                    "lib": {"type": "array", "items": {"enum": ["dom", "es2022", "webworker"]}},
                    "paths": {"type": "object", "additionalProperties": {"type": "array", "items": TEXT}},
                },
            },
            "include": {"type": "array", "items": TEXT},
        },
    },
    "tool call": {
        "type": "object",
        "required": ["name", "arguments"],
        "additionalProperties": False,
        "properties": {
            "name": {"enum": ["get_weather", "search"]},
            "arguments": {
                "type": "object",
                "required": ["city", "days"],
                "additionalProperties": False,
                "properties": {"city": TEXT, "days": {"type": "integer", "minimum": 1, "maximum": 14}},
            },
        },
    },
    "workflow": {
        "type": "object",
        "required": ["on", "jobs"],
        "additionalProperties": False,
        "properties": {
            "name": TEXT,
            "on": {"enum": ["push", "pull_request"]},
            "jobs": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {
                    "type": "object",
                    "required": ["runs-on", "steps"],
                    "properties": {
                        "runs-on": TEXT,
                        "steps": {"type": "array", "minItems": 1, "items": {"type": "object", "properties": {"run": TEXT}}},
                    },
                },
            },
        },
    },
}
