from __future__ import annotations

import email.utils
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskfork.errors import EndpointError, UsageError
from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.messages import Answer, Message, Request
from tests.prompt.teachers.server import Call, ChatServer, Say, free_port

SECRET = "sk-very-secret-0123456789"


def ask_of(i: int | str) -> Request:
    return Request((Message("system", "Label it."), Message("user", f"text {i}")))


def endpoint(url: str, **options: Any) -> Endpoint:
    settings: dict[str, Any] = {"backoff": 0.01, "backoff_cap": 0.05, "timeout": 5.0}
    return Endpoint("tiny-1", url, **(settings | options))


def once(trouble: Say) -> Callable[[Call], Say]:
    """The first try of each question meets trouble, the second is answered."""
    return lambda call: trouble if call.same == 0 else Say()


@pytest.mark.parametrize(
    "trouble",
    [
        Say(status=429, error={"message": "slow down"}),
        Say(status=500, error={"message": "oops"}),
        Say(status=502, raw=b"<html>bad gateway</html>"),
        Say(status=503, raw=b""),
        Say(status=504),
        Say(delay=0.6),
        Say(cut=True),
        Say(raw=b"{not json"),
        Say(raw=b'{"choices": []}'),
        Say(raw=b'{"error": {"message": "upstream is gone"}}'),
        Say(raw=b""),
        Say(raw=b"\xff\xfe\x00"),
    ],
    ids=["429", "500", "502", "503", "504", "time-out", "cut", "no-json", "no-choice", "200-error", "empty", "bytes"],
)
def test_passing_troubles_are_tried_again(trouble: Say) -> None:
    with ChatServer(once(trouble)) as server:
        teacher = endpoint(server.url, timeout=0.3)
        answers = teacher.ask([ask_of(i) for i in range(6)])
    assert [a.text for a in answers] == ["positive"] * 6
    assert [a.attempts for a in answers] == [2] * 6
    assert set(server.counts.values()) == {2}


def test_a_row_that_keeps_failing_is_one_failed_row() -> None:
    def respond(call: Call) -> Say:
        return Say(status=500, error={"message": "cursed row"}) if call.last == "text 3" else Say()

    with ChatServer(respond) as server:
        seen: list[tuple[int, str]] = []
        answers = endpoint(server.url, retries=2).ask(
            [ask_of(i) for i in range(8)], lambda row, answer: seen.append((row, answer.status))
        )
    assert [a.status for a in answers] == ["ok"] * 3 + ["failed"] + ["ok"] * 4
    assert answers[3].error == "status 500: cursed row"
    assert answers[3].attempts == 3
    assert sorted(seen) == [(i, "failed" if i == 3 else "ok") for i in range(8)]


def test_a_refused_row_is_not_tried_again() -> None:
    def respond(call: Call) -> Say:
        return Say(status=400, error={"message": "content filter"}) if call.last == "text 2" else Say()

    with ChatServer(respond) as server:
        answers = endpoint(server.url).ask([ask_of(i) for i in range(4)])
    assert (answers[2].status, answers[2].attempts) == ("failed", 1)
    assert len(server.calls) == 4


def test_retry_after_in_seconds_and_as_a_date_is_waited_for() -> None:
    for header in ({"Retry-After": "0.4"}, {"Retry-After": email.utils.formatdate(time.time() + 2, usegmt=True)}):
        with ChatServer(once(Say(status=429, headers=header))) as server:
            began = time.monotonic()
            endpoint(server.url).ask([ask_of(1)])
            first, second = server.calls
        assert second.at - first.at >= 0.39
        assert time.monotonic() - began < 5


def test_a_429_pauses_all_calls_not_only_its_own() -> None:
    def respond(call: Call) -> Say:
        return Say(status=429, headers={"Retry-After": "0.5"}) if call.nth == 1 else Say(delay=0.02)

    with ChatServer(respond) as server:
        endpoint(server.url, concurrency=2).ask([ask_of(i) for i in range(12)])
        refused = server.calls[1].at
    # a call that was sent beside it may arrive; then silence
    between = [c for c in server.calls if refused + 0.1 < c.at < refused + 0.45]
    assert between == []


def test_rate_limit_headers_slow_the_run_before_any_429() -> None:
    headers = {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1s",
    }
    with ChatServer(lambda call: Say(headers=headers)) as server:
        endpoint(server.url, concurrency=1).ask([ask_of(i) for i in range(4)])
    gaps = [b.at - a.at for a, b in zip(server.calls, server.calls[1:], strict=False)]
    assert min(gaps) >= 0.095, "one tenth of the allowance comes back in 0.1 s"
    assert max(gaps) < 0.5


def test_parallel_calls_adapt_to_what_the_endpoint_takes() -> None:
    room = 3

    def refusals(adapts: bool) -> tuple[int, Endpoint]:
        with ChatServer(lambda call: Say(status=429) if call.in_flight > room else Say(delay=0.05)) as server:
            teacher = endpoint(server.url, concurrency=16, retries=60)
            if not adapts:
                teacher.pace.slower = lambda sent_at: None  # type: ignore[method-assign]
            assert all(a.ok for a in teacher.ask([ask_of(i) for i in range(40)]))
        return len(server.calls) - 40, teacher

    few, teacher = refusals(adapts=True)
    many, _ = refusals(adapts=False)
    assert few < 0.8 * many  # about a third on a machine that is free
    assert teacher.pace.lowest <= 4
    assert "limited the rate" in " ".join(teacher.notes())


def test_parallel_calls_are_really_parallel() -> None:
    together = threading.Barrier(6)

    def respond(call: Call) -> Say:
        if call.nth > 0:  # the first goes alone
            together.wait(5)
        return Say()

    with ChatServer(respond) as server:
        answers = endpoint(server.url, concurrency=6, retries=0).ask([ask_of(i) for i in range(13)])
    assert all(a.ok for a in answers), "the barrier opens only for six at once"
    assert server.most_in_flight == 6


def test_the_pace_grows_again_after_a_cut() -> None:
    with ChatServer(lambda call: Say(status=429) if call.nth == 5 else Say()) as server:
        teacher = endpoint(server.url, concurrency=6)
        teacher.ask([ask_of(i) for i in range(30)])
    assert teacher.pace.lowest == 3
    assert int(teacher.pace.limit) >= 5


def test_equal_questions_are_asked_once_and_kept(tmp_path: Path) -> None:
    with ChatServer() as server:
        teacher = endpoint(server.url, cache_dir=tmp_path)
        first = teacher.ask([ask_of(0), ask_of(1), ask_of(0)])
        again = endpoint(server.url, cache_dir=tmp_path).ask([ask_of(1), ask_of(0), ask_of(2)])
        other = Request(ask_of(0).messages, max_tokens=7)
        endpoint(server.url, cache_dir=tmp_path).ask([other])
    assert len(server.calls) == 4
    assert [a.cached for a in first] == [False, False, True]
    assert [a.cached for a in again] == [True, True, False]
    assert again[1].latency_ms == pytest.approx(first[0].latency_ms, abs=0.001)
    assert again[1].usage == first[0].usage


def test_kept_answers_need_neither_server_nor_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer() as server:
        endpoint(server.url, cache_dir=tmp_path).ask([ask_of(0)])
    monkeypatch.setitem(sys.modules, "openai", None)
    assert endpoint(server.url, cache_dir=tmp_path).ask([ask_of(0)])[0].ok
    with pytest.raises(EndpointError, match=r"pip install maskfork\[llm\]"):
        endpoint(server.url, cache_dir=tmp_path).ask([ask_of(1)])


def test_an_unreachable_endpoint_is_one_sentence_soon() -> None:
    for url in (f"http://127.0.0.1:{free_port()}/v1", "http://no-such-host.invalid/v1"):
        began = time.monotonic()
        with pytest.raises(EndpointError, match=r"cannot be reached: .*; start the server or correct") as caught:
            Endpoint("m", url, key_env="PATH").ask([ask_of(i) for i in range(100)])
        assert time.monotonic() - began < 5
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("say", "words"),
    [
        (Say(status=401, error={"message": "bad key"}), "refused the key"),
        (Say(status=403, error={"message": "no"}), "may not use"),
        (Say(status=404, error={"message": "The model does not exist", "code": "model_not_found"}), "it offers tiny-1"),
        (Say(status=404, raw=b"not found"), "usually ends in /v1"),
        (Say(status=402, error={"message": "pay"}), "no credit"),
        (Say(status=429, error={"message": "quota", "code": "insufficient_quota"}), "no credit"),
        (Say(raw=b"<!doctype html><p>hello"), "web page"),
        (Say(status=429, headers={"Retry-After": "7200"}), "asks to wait 7200 s"),
    ],
)
def test_what_cannot_succeed_costs_one_call_and_one_sentence(say: Say, words: str) -> None:
    with ChatServer(lambda call: say) as server, pytest.raises(EndpointError, match=words) as caught:
        endpoint(server.url).ask([ask_of(i) for i in range(50)])
    assert len(server.calls) == 1
    assert "\n" not in str(caught.value)


def test_a_key_that_dies_on_the_way_loses_nothing_paid(tmp_path: Path) -> None:
    with ChatServer(lambda call: Say(status=401) if call.nth >= 10 else Say()) as server:
        with pytest.raises(EndpointError, match=r"answers of this run are kept"):
            endpoint(server.url, cache_dir=tmp_path, concurrency=2).ask([ask_of(i) for i in range(30)])
        server.respond = lambda call: Say()
        answers = endpoint(server.url, cache_dir=tmp_path).ask([ask_of(i) for i in range(30)])
    assert all(a.ok for a in answers)
    assert set(server.served.values()) == {1}


def test_an_endpoint_that_dies_ends_the_run_and_says_which_rows_are_open() -> None:
    with ChatServer(lambda call: Say(status=500) if call.nth >= 10 else Say()) as server:
        teacher = endpoint(server.url, concurrency=2, retries=1)
        answers = teacher.ask([ask_of(i) for i in range(200)])
    states = [a.status for a in answers]
    assert states.count("ok") == 10
    assert 10 <= states.count("failed") <= 12
    assert states.count("unanswered") == 200 - 10 - states.count("failed")
    assert "rows in a row" in str(answers[-1].error)
    assert any("rows in a row" in note for note in teacher.notes())


def test_an_endpoint_that_never_works_is_an_error() -> None:
    with ChatServer(lambda call: Say(status=500, error={"message": "no GPU"})) as server:
        with pytest.raises(EndpointError, match=r"failed \d+ rows in a row, the last with: status 500: no GPU"):
            endpoint(server.url, concurrency=4, retries=1).ask([ask_of(i) for i in range(100)])
        assert len(server.calls) < 40


def test_dialects_are_learned_once_and_said() -> None:
    def respond(call: Call) -> Say:
        if "max_tokens" in call.body:
            return Say(status=400, error={"message": "Use 'max_completion_tokens' instead", "param": "max_tokens"})
        if "temperature" in call.body:
            return Say(status=400, error={"message": "Unsupported value: 'temperature'"})
        if call.body.get("top_logprobs", 0) > 0:
            return Say(status=422, raw=b'{"detail": "Unexpected fields: top_logprobs"}')
        if call.body["messages"][0]["role"] == "system":
            return Say(status=400, error={"message": "System role not supported"})
        return Say()

    with ChatServer(respond) as server:
        teacher = endpoint(server.url)
        asked = [Request(ask_of(i).messages, top_logprobs=20) for i in range(5)]
        answers = teacher.ask(asked)
    assert all(a.ok for a in answers)
    assert len(server.calls) == 5 + 5, "each of five refusals is met once"
    body = server.calls[-1].body
    assert set(body) == {"model", "messages", "max_completion_tokens"}
    assert body["messages"][0]["content"].startswith("Label it.\n\ntext")
    assert len(teacher.dialect.notes()) == 5


def test_the_key_is_sent_and_appears_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", SECRET)
    caplog.set_level(logging.DEBUG)

    def respond(call: Call) -> Say:
        if call.last == "text 1":
            return Say(status=400, error={"message": f"odd key {SECRET} today"})
        return Say()

    with ChatServer(respond) as server:
        teacher = endpoint(server.url, key_env="MY_KEY", cache_dir=tmp_path)
        answers = teacher.ask([ask_of(0), ask_of(1)])
        assert server.calls[0].headers["authorization"] == f"Bearer {SECRET}"
        server.respond = lambda call: Say(status=401, error={"message": f"Incorrect API key: {SECRET}"})
        with pytest.raises(EndpointError, match="refused the key") as caught:
            endpoint(server.url, key_env="MY_KEY").ask([ask_of(0)])
    assert "odd key ***" in str(answers[1].error)
    kept = " ".join(f.read_text() for f in tmp_path.iterdir())
    for text in (kept, str(caught.value), caplog.text, teacher.name, " ".join(teacher.notes()), repr(teacher)):
        assert SECRET not in text
    with pytest.raises(UsageError, match="holds a name or password") as caught_url:
        Endpoint("m", "https://user:pass-word@api.example.com/v1")
    assert "pass-word" not in str(caught_url.value)


def test_no_key_matters_only_away_from_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ChatServer() as server:
        assert endpoint(server.url).ask([ask_of(0)])[0].ok
    with pytest.raises(EndpointError, match="OPENAI_API_KEY is not set"):
        Endpoint("m", "https://api.example.com/v1").check()


def test_values_that_make_no_sense() -> None:
    with pytest.raises(EndpointError, match="not an address"):
        Endpoint("m", "localhost:8080")
    with pytest.raises(UsageError, match="one call at a time"):
        Endpoint("m", "http://localhost/v1", concurrency=0)
    with pytest.raises(UsageError, match="name of a model"):
        Endpoint("", "http://localhost/v1")


def test_a_stop_by_the_caller_keeps_what_was_on_its_way(tmp_path: Path) -> None:
    def stop(row: int, answer: Answer) -> None:
        if row == 4:
            raise KeyboardInterrupt

    with ChatServer(lambda call: Say(delay=0.1)) as server:
        with pytest.raises(KeyboardInterrupt):
            endpoint(server.url, cache_dir=tmp_path, concurrency=3).ask([ask_of(i) for i in range(60)], stop)
        assert len(server.calls) < 15
        endpoint(server.url, cache_dir=tmp_path).ask([ask_of(i) for i in range(60)])
    assert set(server.served.values()) == {1}, "nothing that was on its way at the stop is paid again"
    assert not [t for t in threading.enumerate() if t.name == "maskfork-endpoint"]


def test_a_drip_is_cut_at_the_time_out() -> None:
    def respond(call: Call) -> Say:
        return Say(delay=1.0) if call.same < 2 else Say()

    with ChatServer(respond) as server:
        began = time.monotonic()
        answer = endpoint(server.url, timeout=0.2, retries=1).ask([ask_of(0)])[0]
        assert time.monotonic() - began < 1.0
    assert (answer.status, answer.error) == ("failed", "no answer within 0.2 s")
