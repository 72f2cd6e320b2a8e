"""What a server says of itself is true: its document, its state, its metrics."""

from __future__ import annotations

from pathlib import Path

import jsonschema

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.served import open_served
from tests.deploy.serve.serving import LONG, get, post


def test_the_document_is_true(app: App) -> None:
    document = get(app, "/openapi.json").json()
    parts = {"components": document["components"]}
    asked = {
        "/predict": {"inputs": [["a film"]]}, "/embed": {"inputs": "a film"}, "/rerank": {"query": "a", "texts": ["b", LONG]},
        "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}}, "/tokenize": {"inputs": "a film"},
        "/decode": {"ids": [5, 6]}, "/ask": {"rows": [{"text": "a"}]}, "/tag": {"inputs": "a film"},
        "/answer": {"inputs": {"question": "a", "context": "a film"}}, "/v1/embeddings": {"input": "a film"},
        "/v1/rerank": {"query": "a", "documents": ["b"]}, "/": {"inputs": "a film"}, "/embed_all": {"inputs": [[5, 6]]},
    }  # fmt: skip
    assert asked.keys() <= document["paths"].keys()
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            if method == "post" and path not in asked:
                continue
            body = asked.get(path)
            if body is not None:
                schema = said["requestBody"]["content"]["application/json"]["schema"]
                jsonschema.validate(body, {**schema, **parts})
            answer = get(app, path.replace("{model}", "encoder")) if method == "get" else post(app, path, body)
            assert answer.status_code == 200, path
            content = said["responses"]["200"]["content"]
            kind = answer.headers["content-type"].split(";")[0]
            if kind == "application/json":
                jsonschema.validate(answer.json(), {**content[kind]["schema"], **parts})
            else:
                assert kind in content
    fault = post(app, "/embed", {"inputs": 5}).json()
    jsonschema.validate(fault, {"$ref": "#/components/schemas/TeiError", **parts})


def test_info_has_what_teis_clients_read(app: App, places: dict[str, Path]) -> None:
    said = get(app, "/info").json()
    assert {
        "model_id", "model_sha", "model_dtype", "model_type", "max_concurrent_requests", "max_input_length", "max_batch_tokens",
        "max_batch_requests", "max_client_batch_size", "auto_truncate", "tokenization_workers", "version", "sha", "docker_label",
    } <= said.keys()  # fmt: skip
    assert said["model_dtype"] == "float32"
    assert open_served("encoder", str(places["encoder"])).dtype == "float32"


def test_metrics_and_request_ids(app: App) -> None:
    said = post(app, "/embed", {"inputs": "a film"}, headers={"x-request-id": "mine-1"})
    assert said.headers["x-request-id"] == "mine-1"
    text = get(app, "/metrics").text
    for name in (
        "requests_total",
        "request_seconds_bucket",
        "tokens_total",
        "batch_tokens_sum",
        "waiting_texts",
        "queue_seconds_bucket",
    ):
        assert f"maskfork_{name}{{" in text, name
