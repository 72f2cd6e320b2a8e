"""The container's files say what is true: options that exist, routes, metrics, files; nobody runs as root."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("prometheus_client")

from maskfork.cli.serve import serve
from maskfork.deploy.serve.metrics import Metrics
from maskfork.deploy.serve.routes import all_routes

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = {f"--{name.replace('_', '-')}" for name in inspect.signature(serve).parameters}
PATHS = {route.path for route in all_routes()}


def instructions() -> list[tuple[str, str]]:
    text = "\n".join(line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#"))
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return found


def prometheus(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker" / name).read_text())
    return found


def test_the_image_is_pinned_small_and_not_roots() -> None:
    found = instructions()
    images = [words.split()[0] for name, words in found if name == "FROM"]
    assert all(re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", image) for image in images)
    last = [name for name, _ in found].index("FROM", 1)
    run = found[last:]
    (user,) = [words for name, words in run if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)  # a number: orchestrators can see that it is not root
    order = [name for name, _ in run]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert "apt-get" not in str(run)
    assert not any(name == "ADD" for name, _ in found)
    assert all(json.loads(words) for name, words in run if name in ("ENTRYPOINT", "CMD"))  # exec form: signals arrive
    for name, words in found:
        if name == "COPY" and not words.startswith("--from"):
            for part in words.split()[:-1]:
                assert (ROOT / part).exists(), part
                assert f"!{part.removeprefix('./')}" in (ROOT / ".dockerignore").read_text().splitlines(), part


def test_what_the_container_asks_for_exists() -> None:
    entry = next(json.loads(words) for name, words in instructions() if name == "ENTRYPOINT")
    assert entry[:2] == ["maskfork", "serve"]
    asked = [*entry[2:], *compose()["services"]["maskfork"]["command"]]
    assert {word for word in asked if word.startswith("--")} <= OPTIONS
    check = next(words for name, words in instructions() if name == "HEALTHCHECK")
    (port, path) = re.search(r"127\.0\.0\.1:(\d+)(/\w+)", check).groups()  # type: ignore[union-attr]
    assert path in PATHS
    assert port == entry[entry.index("--port") + 1]
    unit = re.search(r"```ini\n(.*?)```", (ROOT / "docs" / "serve.md").read_text(), re.S)
    assert unit is not None
    assert set(re.findall(r"--[a-z][a-z0-9-]+", unit[1])) <= OPTIONS
    assert "DynamicUser=yes" in unit[1]


def test_compose_and_prometheus_fit_together() -> None:
    services = compose()["services"]
    for name, service in services.items():
        image = service.get("image")
        assert service.get("build") or re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", image), name
        assert not service.get("privileged")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./docker") or (ROOT / source).is_file(), source
        assert set(service.get("secrets", [])) <= set(compose()["secrets"])
    assert services["maskfork"]["read_only"] is True
    assert services["maskfork"]["cap_drop"] == ["ALL"]
    (job,) = prometheus("prometheus.yml")["scrape_configs"]
    assert job["metrics_path"] in PATHS
    assert job["static_configs"][0]["targets"] == ["maskfork:8080"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/keys"


def test_alerts_are_of_metrics_that_exist() -> None:
    metrics = Metrics()
    known = {f"{one.name}{end}" for one in metrics.registry.collect() for end in ("", "_total", "_bucket", "_sum", "_count")}
    rules = [rule for group in prometheus("alerts.yml")["groups"] for rule in group["rules"]]
    assert rules
    for rule in rules:
        named = set(re.findall(r"maskfork_\w+", rule["expr"]))
        assert named
        assert named <= known, rule["alert"]
