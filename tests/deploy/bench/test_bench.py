"""Loads count what they should, a stalled server cannot hide, and the verb says what it measured."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from maskfork.cli import main
from maskfork.cli.bench import _alone
from maskfork.deploy.bench.client import Target, find_target
from maskfork.deploy.bench.load import load
from maskfork.deploy.bench.peak import bytes_a_token, operations, reading, reading_rate
from maskfork.errors import UsageError
from maskfork.models.families import all_families
from maskfork.models.hub import build
from maskfork.models.runtimes.writing import WritingSettings, write_writing
from maskfork.view.benched import benched_text
from tests.learn.tiny import make

Answer = Callable[[bytes, int], Awaitable[tuple[int, bytes]]]


async def served(answer: Answer, work: Callable[[int], Awaitable[Any]]) -> Any:
    """`work(port)` beside a server that says what `answer(request, its number)` says."""
    count = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.split(b"content-length: ")[1].split(b"\r\n")[0]) if b"content-length" in head else 0
                body = await reader.readexactly(size)
                count += 1
                status, said = await answer(head + body, count)
                if status == -1:
                    writer.close()
                    return
                writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(said), said))
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        return await work(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def test_a_server_that_stalls_cannot_hide_what_would_have_come() -> None:
    async def answer(request: bytes, number: int) -> tuple[int, bytes]:
        if number == 20:
            time.sleep(0.4)  # the whole server stands still
        return 200, b"{}"

    target = Target("127.0.0.1", 0, "/predict")
    opened = asyncio.run(
        served(answer, lambda port: load(Target("127.0.0.1", port, "/predict"), ["a"], 1.0, 4, rate=100.0))
    ).summary()
    closed = asyncio.run(served(answer, lambda port: load(Target("127.0.0.1", port, "/predict"), ["a"], 0.6, 4))).summary()
    assert opened["failed"] == 0
    assert opened["p90_ms"] > 100  # some 40 requests were due in the 400 ms, and waited
    assert closed["p90_ms"] < 50  # a closed loop sees four of them
    assert target.request("a").startswith(b"POST /predict HTTP/1.1\r\n")


def test_refusals_and_broken_connections_are_counted() -> None:
    async def answer(request: bytes, number: int) -> tuple[int, bytes]:
        return (200, 429, -1, 500)[number % 4], b"{}"

    seen = asyncio.run(served(answer, lambda port: load(Target("127.0.0.1", port, "/embed"), ["a", "b"], 1.0, 2, rate=80.0)))
    said = seen.summary()
    assert sum(seen.statuses.values()) == 80
    assert said["refused"] == seen.statuses[429] > 0
    assert said["failed"] == seen.statuses[0] + seen.statuses[500] > 0


@pytest.mark.parametrize("rate", [None, 20.0])
def test_a_server_that_never_answers_ends_the_load(rate: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskfork.deploy.bench.load.LAST_S", 0.2)
    monkeypatch.setattr("maskfork.deploy.bench.client.WAIT_S", 0.2)

    async def answer(request: bytes, number: int) -> tuple[int, bytes]:
        if number > 2 or b"GET" in request:
            await asyncio.sleep(60)
        return 200, b"{}"

    seen = asyncio.run(served(answer, lambda port: load(Target("127.0.0.1", port, "/predict"), ["a"], 0.3, 4, rate=rate)))
    said = seen.summary()
    assert len(seen.ms) == 2
    assert said["failed"] == 4  # each connection waits; of the open loop six were due
    assert sum(seen.statuses.values()) == seen.due
    with pytest.raises(UsageError, match=r"says nothing for 0\.2 s"):
        asyncio.run(served(answer, lambda port: find_target(f"http://127.0.0.1:{port}", None, None, None)))


def test_the_route_is_found_by_info() -> None:
    said = b'{"model_id": "m", "model_type": {"reranker": {}}}'

    async def answer(request: bytes, number: int) -> tuple[int, bytes]:
        return (200, said) if b"GET /base/info" in request else (404, b"{}")

    def ask(path: str, route: str | None = None) -> Callable[[int], Awaitable[Target]]:
        return lambda port: find_target(f"http://127.0.0.1:{port}{path}", route, "key", None)

    found = asyncio.run(served(answer, ask("/base/")))
    assert (found.route, found.prefix) == ("/rerank", "/base")
    assert b"authorization: Bearer key" in found.request("a")
    with pytest.raises(UsageError, match="does not tell what is served"):
        asyncio.run(served(answer, ask("")))
    assert asyncio.run(served(answer, ask("", "/v1/embeddings"))).route == "/v1/embeddings"
    with pytest.raises(UsageError, match="nobody answers"):
        asyncio.run(find_target("http://127.0.0.1:1", None, None, None))
    with pytest.raises(UsageError, match="no route"):
        asyncio.run(find_target("http://127.0.0.1:1", "/x", None, None))


def test_operations_of_a_pass(tmp_path: Path) -> None:
    model = make("bert", "classify", labels=("a", "b"))
    stack, width = model.spec.main, model.spec.hidden_size
    layers = sum(p.numel() for n, p in model.named_parameters() if ".layers." in n and p.dim() == 2)
    wanted = 2 * layers * 5 + 4 * stack.depth * (4 * 4 + 6 * 6) / 2 * width
    assert operations(model.save(tmp_path), [4, 6]) == pytest.approx(wanted)
    assert operations(tmp_path / "nowhere", [4]) is None


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_bytes_of_a_token(family: str, tmp_path: Path) -> None:
    """Every matrix once but the table of places and, where the output has a matrix of its own, that of the words."""
    model = make(family, "causal_lm")
    rows = {name: p.numel() for name, p in model.named_parameters() if p.dim() == 2 and "positions" not in name}
    output = model.spec.vocab_size * model.spec.hidden_size
    layers = sum(rows.values()) - output * (2 if "head.weight" in rows else 1)
    folder = model.save(tmp_path)
    assert bytes_a_token(folder) == 4 * (layers + output)
    for engine, precision, wanted in (
        ("torch", "bf16", 2 * (layers + output)),
        ("torch", "int8", layers + 4 * output),
        ("native", "int8", layers + output),
        ("llama.cpp", "int4", layers / 2 + output),
    ):
        (folder / "writing.json").unlink(missing_ok=True)
        write_writing(folder, WritingSettings(engine=engine, precision=precision, files={}))  # type: ignore[arg-type]
        assert bytes_a_token(folder) == wanted


def test_experts_read_a_part(tmp_path: Path) -> None:
    build({**all_families()["mixtral"].tiny[0], "model_type": "mixtral"}, "causal_lm").save(tmp_path)
    assert bytes_a_token(tmp_path) is None
    assert reading(tmp_path, 1.0) is None


def test_the_share_of_what_memory_gives(tmp_path: Path) -> None:
    folder = make("gpt2", "causal_lm").save(tmp_path)
    found = reading(folder, 2.0)
    assert found is not None
    assert found["share"] == pytest.approx(found["bytes_a_token"] / 0.002 / found["bytes_per_second"])
    assert 1e8 < reading_rate(1 << 26) < 1e13


def test_another_device_is_not_held_against_the_processors_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("bert", "classify", labels=("a", "b")).save(tmp_path)
    one = {"name": "maskfork", "per_second": 400.0, "padding": None}
    monkeypatch.setattr("maskfork.deploy.bench.alone.alone", lambda *given, **named: [one])
    monkeypatch.setattr("maskfork.deploy.bench.peak.peaks", lambda: {"fp32": 1e9})
    found = {}
    for device in ("cpu", "cuda"):
        monkeypatch.setattr("maskfork.models.device.best_device", lambda device=device: torch.device(device))
        found[device] = _alone(folder, [{"text": "a film"}], 1, lambda doing: None, peers=False)
    assert found["cpu"]["share"] == pytest.approx(400.0 * (operations(folder, [4]) or 0.0) / 1e9)
    assert (found["cuda"]["share"], found["cuda"]["peaks"]) == (None, {})


def test_wrong_questions(capsys: pytest.CaptureFixture[str]) -> None:
    for tokens, why in (
        ([], "name what to measure"),
        (["m", "--connections", "a"], "numbers with commas"),
        (["m", "--rate", "0"], "above 0"),
    ):
        assert main(["bench", *tokens]) == 2
        assert why in capsys.readouterr().err


def test_what_was_measured_is_shown() -> None:
    one = {"name": "maskfork", "per_second": 400.0, "p50": 3.0, "p90": 4.0, "p99": 5.0, "load_s": 0.5, "memory_mb": 300.0}
    peer = {**one, "name": "other", "per_second": 100.0}
    load_ = {
        "connections": 4, "asked_per_second": None, "answered_per_second": 9.0, "p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": 3.0,
        "longest_ms": 4.0, "refused": 5, "failed": 0,
    }  # fmt: skip
    text = benched_text({
        "unit": "texts", "alone": [one, peer, {"name": "third", "error": "why"}], "not_measured": {"fourth": "absent"},
        "peaks": {"int8": 8e11}, "share": 0.5, "precision": "int8", "padding": 0.012,
        "served": {"route": "/predict", "seconds": 5.0, "closed": [load_], "open": load_},
    }).replace("\xa0", " ")  # fmt: skip
    assert "4.00" in text  # times the other
    for said in (
        "not measured: third: why",
        "not measured: fourth: absent",
        "int8 800 GFLOP/s",
        "50 % of the int8 peak",
        "1.2 % of the tokens that it computes are padding",
        "/predict for 5 s",
    ):
        assert said in text


def test_a_decoder_is_measured_by_the_tokens_that_it_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make("gpt2", "causal_lm").save(tmp_path / "gpt")
    assert main(["bench", str(folder), "--limit", "3", "--turns", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["unit"], found["texts"], len(found["alone"])) == ("tokens", 3, 1)
    assert found["alone"][0]["per_second"] > 0
    text = benched_text(found)
    assert "tokens/s" in text
    assert "32 tokens after each of 3 texts; torch reads its tokens" in text
    one = found["alone"][0]
    assert found["reading"]["ms_a_token"] == pytest.approx((one["p50"] - one["first"]) / 31)
    assert 0 < found["reading"]["share"] < 1  # a pass of a few hundred small steps is nowhere near a plain read
    assert "GB/s at which so many bytes are read here" in text
    assert b'"max_tokens":32' in Target("here", 1, "/v1/completions", model="gpt").request("a")
    assert b"encoding_format" not in Target("here", 1, "/v1/completions").request("a")


@pytest.mark.slow
def test_a_real_model_beside_a_peer_and_behind_its_own_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    folder = make("bert", "classify", labels=("a", "b")).save(tmp_path / "model")
    command = [
        "bench",
        str(folder),
        "--peers",
        "--load",
        "--seconds",
        "1",
        "--connections",
        "2",
        "--turns",
        "1",
        "--limit",
        "20",
        "--json",
    ]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["alone"]][:2] == ["maskfork", "transformers-pipeline"]
    assert all(one["per_second"] > 0 for one in found["alone"])
    assert found["served"]["open"]["answered_per_second"] > 0
    assert 0 <= found["padding"] < 0.2
