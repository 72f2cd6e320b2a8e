"""SIGKILL in the middle of a run: what was paid and finished is not paid again."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.messages import Message, Request
from tests.prompt.teachers.server import ChatServer, Say

ROWS = 60
PARALLEL = 3
CHILD = textwrap.dedent("""
    import sys
    from maskfork.prompt.teachers.endpoint import Endpoint
    from maskfork.prompt.teachers.messages import Message, Request
    url, cache, rows, parallel = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    teacher = Endpoint("tiny-1", url, cache_dir=cache, concurrency=parallel, price_in=1.0, price_out=1.0)
    asked = [Request((Message("user", f"text {i}"),)) for i in range(rows)]
    def done(row, answer):
        if not answer.cached:
            print(row, answer.status, flush=True)
    teacher.ask(asked, done)
""")


def start(url: str, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, url, str(cache), str(ROWS), str(PARALLEL)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_run_pays_no_finished_answer_twice(tmp_path: Path) -> None:
    with ChatServer(lambda call: Say(delay=0.02)) as server:
        finished: dict[str, int] = {}  # row -> how often it had been asked when it was finished
        for want in (10, 30):  # killed twice, at different depths
            child = start(server.url, tmp_path)
            assert child.stdout is not None
            while len(server.served) < want:
                time.sleep(0.005)
            child.send_signal(signal.SIGKILL)
            lines = child.stdout.read().splitlines()
            assert child.wait(10) == -signal.SIGKILL
            for row in (line.split()[0] for line in lines if line.endswith("ok")):
                assert row not in finished, "a finished row was asked again"
                finished[row] = asked(server, row)
        teacher = Endpoint("tiny-1", server.url, cache_dir=tmp_path, concurrency=PARALLEL, price_in=1.0, price_out=1.0)
        new: set[str] = set()
        answers = teacher.ask(
            [Request((Message("user", f"text {i}"),)) for i in range(ROWS)],
            lambda row, answer: None if answer.cached else new.add(str(row)),
        )
        assert all(a.ok for a in answers)
        assert {row: asked(server, row) for row in finished} == finished
    assert 20 <= len(finished) < ROWS
    assert teacher.ledger.calls == len(new)
    assert new.isdisjoint(finished)
    assert len(server.calls) <= ROWS + 2 * PARALLEL, "only calls in flight at a kill are asked again"


def asked(server: ChatServer, row: str) -> int:
    return sum(call.last == f"text {row}" for call in server.calls)
