from __future__ import annotations

import asyncio
import email.utils
import time

import pytest

from maskfork.prompt.teachers.pace import Pace, backoff, rate_limit_wait, retry_after, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("0.5", 0.5),
        ("20ms", 0.02),
        ("6m0s", 360.0),
        ("1m30.5s", 90.5),
        ("1h2m", 3720.0),
        ("2d", 172800.0),
        ("soon", None),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("2025-01-01T00:00:00Z", None),
    ],
)
def test_durations_in_headers(text: str, value: float | None) -> None:
    assert seconds(text) == (value if value is None else pytest.approx(value))


def test_retry_after_in_its_forms() -> None:
    assert retry_after({}) is None
    assert retry_after({"retry-after": "12"}) == 12
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert retry_after({"retry-after": "rubbish"}) is None
    later = retry_after({"retry-after": email.utils.formatdate(time.time() + 30, usegmt=True)})
    assert later == pytest.approx(30, abs=2)
    assert retry_after({"retry-after": email.utils.formatdate(time.time() - 30, usegmt=True)}) == 0


def test_the_wait_for_room_in_the_rate_limits() -> None:
    def limits(what: str, limit: str, remaining: str, reset: str) -> dict[str, str]:
        return {f"x-ratelimit-{k}-{what}": v for k, v in [("limit", limit), ("remaining", remaining), ("reset", reset)]}

    assert rate_limit_wait({}, 100) == 0
    assert rate_limit_wait(limits("requests", "60", "3", "57s"), 100) == 0
    assert rate_limit_wait(limits("requests", "60", "0", "60s"), 100) == pytest.approx(1.0)
    assert rate_limit_wait(limits("tokens", "1000", "50", "10s"), 150) == pytest.approx(1.0)
    assert rate_limit_wait(limits("tokens", "100", "0", "10s"), 5000) == pytest.approx(10.0), "never above the reset"
    assert rate_limit_wait(limits("requests", "x", "0", "60s"), 1) == 0
    without_limit = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2s"}
    assert rate_limit_wait(without_limit, 1) == 2.0


def test_backoff_doubles_and_is_fully_random() -> None:
    for attempt, most in [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (9, 10.0), (5000, 10.0)]:
        waits = [backoff(attempt, 0.5, 10.0) for _ in range(2000)]
        assert max(waits) <= most
        assert min(waits) < 0.05 * most
        assert sum(waits) / len(waits) == pytest.approx(most / 2, rel=0.1)


def test_halving_once_for_calls_that_were_already_on_their_way() -> None:
    pace = Pace(16)
    sent = time.monotonic()
    for _ in range(8):
        pace.slower(sent)
    assert pace.limit == 8
    assert pace.cuts == 1
    pace.slower(time.monotonic() + 0.001)
    assert pace.limit == 4


def test_one_more_place_after_a_full_round() -> None:
    pace = Pace(16, limit=4.0)
    for _ in range(4):
        pace.faster()
    assert 4.8 < pace.limit <= 5.0
    for _ in range(1000):
        pace.faster()
    assert pace.limit == 16


def test_no_more_than_the_limit_at_once_and_none_in_a_pause() -> None:
    async def drive() -> tuple[int, float]:
        pace = Pace(3)
        pace.begin()
        pace.pause(0.1)
        began = time.monotonic()
        inside = most = 0
        first: list[float] = []

        async def one() -> None:
            nonlocal inside, most
            async with pace.slot():
                first.append(time.monotonic() - began)
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.005)
                inside -= 1

        await asyncio.gather(*(one() for _ in range(12)))
        return most, min(first)

    most, first = asyncio.run(drive())
    assert most == 3
    assert first >= 0.099
