"""Batches form while the model computes; one's fault is not another's; full is said; who has gone is forgotten."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from maskfork.deploy.serve.batcher import Batcher
from maskfork.deploy.serve.gate import Gate
from maskfork.deploy.serve.job import Done, Job
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.refused import Refused
from tests.deploy.serve.serving import Slow


@pytest.fixture
def made() -> Iterator[Callable[..., tuple[Slow, Batcher]]]:
    batchers: list[tuple[Slow, Batcher]] = []

    def make(**limits: Any) -> tuple[Slow, Batcher]:
        slow = Slow()
        batchers.append((slow, Batcher(slow, Limits(**limits))))
        return batchers[-1]

    yield make
    for slow, batcher in batchers:
        slow.go.set()
        batcher.close()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def rows(*texts: str) -> list[dict[str, str]]:
    return [{"text": text} for text in texts]


async def busy(batcher: Batcher) -> Job:
    """The model is computing from now on."""
    first = batcher.ask(rows("first"))
    while first.started is None:
        await asyncio.sleep(0.001)
    return first


def test_what_comes_while_it_computes_is_one_batch(made: Any) -> None:
    slow, batcher = made()

    async def work() -> list[Done]:
        jobs = [await busy(batcher), *(batcher.ask(rows(str(i), f"{i}b")) for i in range(20))]
        slow.go.set()
        return [await job.future for job in jobs]

    done = run(work())
    assert done[0].answers == ["first"]
    assert [d.answers for d in done[1:]] == [[str(i), f"{i}b"] for i in range(20)]
    assert [len(one) for one in slow.passes] == [1, 40]
    assert batcher.waiting == 0


def test_batches_keep_to_the_budget_and_a_large_request_lets_others_in(made: Any) -> None:
    slow, batcher = made(batch_tokens=100)

    async def work() -> None:
        first = await busy(batcher)
        large, small = batcher.ask(rows(*["x" * 10] * 50)), batcher.ask(rows("small"))
        slow.go.set()
        await asyncio.gather(first.future, large.future, small.future)

    run(work())
    assert "small" in slow.passes[1]
    assert all(sum(map(len, one)) <= 100 for one in slow.passes)
    assert sum(map(len, slow.passes)) == 52
    assert len(slow.passes) == 7  # full ones: 505 tokens by a hundred at a time, after the first


def test_a_text_over_the_budget_has_a_batch_of_its_own(made: Any) -> None:
    slow, batcher = made(batch_tokens=10)
    slow.go.set()

    async def work() -> Done:
        return await batcher.ask(rows("y" * 30, "z")).future

    assert run(work()).answers == ["y" * 30, "z"]


def test_full_is_refused_with_a_time_to_come_back(made: Any) -> None:
    slow, batcher = made(queue=3)

    async def work() -> Refused:
        jobs = [await busy(batcher), batcher.ask(rows("a", "b"))]
        with pytest.raises(Refused) as caught:
            batcher.ask(rows("c"))
        slow.go.set()
        assert [(await job.future).answers for job in jobs] == [["first"], ["a", "b"]]
        assert (await batcher.ask(rows("c")).future).answers == ["c"]
        return caught.value

    refused = run(work())
    assert refused.status == 429
    assert refused.headers()[0][0] == b"retry-after"


def test_what_would_be_answered_later_than_promised_is_refused(made: Any) -> None:
    slow, batcher = made(latency_ms=100)
    batcher.gate.speed.learn(100, 1.0)

    async def work() -> None:
        jobs = [await busy(batcher), batcher.ask(rows("c"))]
        with pytest.raises(Refused, match="too many for 100 ms"):
            batcher.ask(rows("a" * 200))
        slow.go.set()
        for job in jobs:
            await job.future

    run(work())


@pytest.mark.parametrize(("late", "turn"), [(0.12, 0.0), (0.0, 0.12)], ids=["passes", "event loop"])
def test_answers_that_come_later_than_expected_are_expected_later(late: float, turn: float) -> None:
    gate = Gate(Limits(latency_ms=100))
    gate.speed.learn(1000, 0.1)
    gate.admit(rows("a" * 40))
    gate.admit(rows("b" * 40))  # 2 ms of passes, far from what is promised
    for n in range(60):
        gate.answered(late, turn, now=n / 10)
    with pytest.raises(Refused, match="too many for 100 ms"):
        gate.admit(rows("c" * 40))
    for n in range(60, 120):
        gate.answered(0.0, 0.0, now=n / 10)
    gate.admit(rows("d" * 40))


def test_a_gate_that_is_shut_for_some_is_not_for_shorter_ones_or_later() -> None:
    gate = Gate(Limits(latency_ms=100))
    gate.speed.learn(1000, 1.0)  # 80 tokens have time
    assert gate.full(10**6) is None  # nothing waits
    taken, _ = gate.admit(rows("a" * 100))  # 27 tokens
    shut = gate.full(10**6)  # as if a thousand of them were letters
    assert shut is not None
    assert gate.full(10**6) is gate.full(1000) is shut
    assert gate.full(100) is None
    with pytest.raises(Refused, match=re.escape(shut.sentence)):
        gate.admit(rows("a" * 1000))
    gate.leave(1, taken)
    assert gate.full(10**6) is None
    gate.admit(rows("a" * 300))
    assert gate.full(10) is not None
    gate.speed.learn(100_000, 1.0)
    gate.answered(0.0, 0.0, now=1.0)
    assert gate.full(10) is None


def test_one_requests_fault_is_its_own(made: Any, capfd: pytest.CaptureFixture[str]) -> None:
    slow, batcher = made()

    async def work() -> list[Any]:
        jobs = [await busy(batcher), *(batcher.ask(rows(text)) for text in ("good", "poison", "fine"))]
        slow.go.set()
        return await asyncio.gather(*(job.future for job in jobs), return_exceptions=True)

    first, good, poison, fine = run(work())
    assert (first.answers, good.answers, fine.answers) == (["first"], ["good"], ["fine"])
    assert poison.status == 500
    assert "poisoned" not in poison.sentence  # the log has it, the client has not
    assert "poisoned" in capfd.readouterr().err


def test_who_has_gone_is_not_computed(made: Any) -> None:
    slow, batcher = made()

    async def work() -> None:
        first, gone, stays = await busy(batcher), batcher.ask(rows("gone")), batcher.ask(rows("stays"))
        gone.future.cancel()
        gone.gone = True
        slow.go.set()
        await asyncio.gather(first.future, stays.future)
        while batcher.waiting:
            await asyncio.sleep(0.001)

    run(work())
    assert slow.passes == [["first"], ["stays"]]


def test_closing_answers_what_was_accepted(made: Any) -> None:
    slow, batcher = made()

    async def work() -> None:
        jobs = [await busy(batcher), batcher.ask(rows("accepted"))]
        batcher.close()
        with pytest.raises(Refused) as caught:
            batcher.ask(rows("late"))
        assert caught.value.status == 503
        slow.go.set()
        assert [(await job.future).answers for job in jobs] == [["first"], ["accepted"]]

    run(work())
    batcher._thread.join(5)
    assert batcher.closed
