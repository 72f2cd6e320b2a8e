from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from maskfork.errors import EndpointError
from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.messages import Message, Request
from tests.prompt.teachers.server import Call, ChatServer, Say

CHILD = textwrap.dedent("""
    import sys
    from maskfork.prompt.teachers.endpoint import Endpoint
    from maskfork.prompt.teachers.messages import Message, Request
    teacher = Endpoint("tiny-1", sys.argv[1], cache_dir=sys.argv[2], batch=True, backoff_cap=0.05)
    assert all(a.ok for a in teacher.ask([Request((Message("user", f"text {i}"),)) for i in range(30)]))
""")


def ask_of(i: int) -> Request:
    return Request((Message("user", f"text {i}"),))


def teacher(url: str, **options: Any) -> Endpoint:
    return Endpoint("tiny-1", url, batch=True, backoff_cap=0.02, price_in=1.0, price_out=1.0, **options)


def test_a_batch_answers_all_rows_and_counts_the_failed(tmp_path: Path) -> None:
    def respond(call: Call) -> Say:
        return Say(status=400, error={"message": "too rude"}) if call.last == "text 7" else Say(call.last, usage=(10, 2))

    with ChatServer(respond) as server:
        asked = teacher(server.url, cache_dir=tmp_path)
        answers = asked.ask([ask_of(i) for i in range(30)])
        assert [a.text for a in answers if a.ok] == [f"text {i}" for i in range(30) if i != 7]
        assert (answers[7].status, answers[7].error) == ("failed", "status 400: too rude")
        assert (len(server.calls), server.batches.asked, server.batches.created) == (1, 29, 1)
        assert asked.ledger.cost == pytest.approx(29 * 12e-6)
        again = teacher(server.url, cache_dir=tmp_path).ask([ask_of(i) for i in range(7)])
    assert all(a.ok and a.cached for a in again)
    assert server.batches.created == 1


def test_a_batch_takes_no_more_than_the_highest_cost_allows() -> None:
    with ChatServer(lambda call: Say(usage=(10, 2))) as server:
        asked = teacher(server.url, max_cost=12e-6 + 5.5 * asked_worst())
        answers = asked.ask([ask_of(i) for i in range(30)])
    assert sum(a.ok for a in answers) == 1 + 5
    assert server.batches.asked == 5
    assert any("highest cost" in note for note in asked.notes())


def asked_worst() -> float:
    request = ask_of(10)
    return (request.most_prompt_tokens + request.max_tokens) / 1e6


def test_a_killed_run_finds_its_batch_again(tmp_path: Path) -> None:
    with ChatServer(lambda call: Say(call.last)) as server:
        server.batches.looks = 10**9
        for _ in range(2):  # once handed over, once waited for
            child = subprocess.Popen([sys.executable, "-c", CHILD, server.url, str(tmp_path)])
            while server.batches.created < 1:
                time.sleep(0.005)
            time.sleep(0.1)
            child.send_signal(signal.SIGKILL)
            child.wait(10)
        for list_file in tmp_path.glob("*.batches"):
            list_file.unlink()  # as if killed before it was written down
        server.batches.looks = 2
        again = Endpoint("tiny-1", server.url, cache_dir=tmp_path, batch=True, backoff_cap=0.05)
        assert all(a.ok for a in again.ask([ask_of(i) for i in range(30)]))
    assert (server.batches.created, server.batches.asked) == (1, 29)


def test_an_endpoint_without_batches_is_said(tmp_path: Path) -> None:
    with ChatServer() as server:
        server.batches.post = lambda path, body: (404, b'{"error": {"message": "no such path"}}')  # type: ignore[method-assign]
        with pytest.raises(EndpointError, match="ask without --batch"):
            teacher(server.url, cache_dir=tmp_path).ask([ask_of(i) for i in range(3)])
