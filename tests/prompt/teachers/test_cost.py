from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskfork.errors import UsageError
from maskfork.prompt.teachers.cost import Ledger, Prices
from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.messages import Message, Request, Usage
from tests.prompt.teachers.server import Call, ChatServer, Say


def ask_of(i: int, length: int = 40) -> Request:
    return Request((Message("user", f"{i} ".ljust(length, "x")),), max_tokens=10)


def endpoint(url: str, **options: Any) -> Endpoint:
    settings: dict[str, Any] = {"backoff": 0.01, "backoff_cap": 0.02, "timeout": 5.0}
    return Endpoint("tiny-1", url, **(settings | options))


def test_the_cost_is_the_endpoints_own_count_times_the_users_price() -> None:
    with ChatServer(lambda call: Say(usage=(1000, 50))) as server:
        teacher = endpoint(server.url, price_in=2.0, price_out=10.0)
        teacher.ask([ask_of(i) for i in range(7)])
    assert teacher.ledger.usage == Usage(7000, 350)
    assert teacher.ledger.cost == pytest.approx((7000 * 2.0 + 350 * 10.0) / 1e6)


def test_without_prices_the_cost_is_not_known() -> None:
    with ChatServer() as server:
        teacher = endpoint(server.url)
        teacher.ask([ask_of(0)])
    assert teacher.ledger.cost is None
    assert teacher.preview([ask_of(1)]).cost is None
    assert "not known" in teacher.preview([ask_of(1)]).text()


def test_free_is_a_price_and_not_an_unknown_one() -> None:
    assert Ledger(Prices.of(0.0, 0.0)).cost == 0.0


@pytest.mark.parametrize("limit_in_calls", [0.5, 3.0, 1000.0])
@pytest.mark.parametrize("parallel", [1, 8])
def test_the_highest_cost_is_never_passed_and_used_up_closely(limit_in_calls: float, parallel: int) -> None:
    true_tokens, rows = (30, 10), 24  # 40 characters: at most 88 tokens by the bound
    one = (30 * 1.0 + 10 * 4.0) / 1e6
    most_of_one = (88 * 1.0 + 10 * 4.0) / 1e6
    limit = limit_in_calls * most_of_one
    with ChatServer(lambda call: Say(usage=true_tokens, delay=0.005)) as server:
        teacher = endpoint(server.url, price_in=1.0, price_out=4.0, max_cost=limit, concurrency=parallel)
        answers = teacher.ask([ask_of(i) for i in range(rows)])
    assert len(server.calls) * one <= limit + 1e-12
    assert teacher.ledger.cost == pytest.approx(len(server.calls) * one)
    paid = sum(a.ok for a in answers)
    affordable = int((limit - most_of_one) / one + 1e-9) + 1 if limit >= most_of_one else 0
    assert paid == len(server.calls) == min(rows, affordable)
    if paid < rows:
        assert {a.status for a in answers if not a.ok} == {"unanswered"}
        assert "highest cost" in str(next(a.error for a in answers if not a.ok))
        assert any("run again with a higher one" in note for note in teacher.notes())


def test_a_highest_cost_holds_over_several_lists() -> None:
    with ChatServer(lambda call: Say(usage=(30, 10))) as server:
        teacher = endpoint(server.url, price_in=1.0, price_out=1.0, max_cost=5 * 98e-6)
        for round_ in range(5):
            teacher.ask([ask_of(10 * round_ + i) for i in range(4)])
    assert len(server.calls) * 40e-6 <= 5 * 98e-6
    assert len(server.calls) == 10


@pytest.mark.parametrize("parallel", [1, 6])
def test_the_most_tokens_are_never_passed_and_need_no_prices(parallel: int) -> None:
    with ChatServer(lambda call: Say(usage=(30, 10), delay=0.005)) as server:
        teacher = endpoint(server.url, max_tokens=500, concurrency=parallel)
        answers = teacher.ask([ask_of(i) for i in range(20)])
    assert len(server.calls) == sum(a.ok for a in answers) == (500 - 98) // 40 + 1
    assert any("most tokens, 500," in note for note in teacher.notes())
    assert any("the most tokens" in str(a.error) for a in answers if not a.ok)


def test_calls_that_may_have_been_billed_count_against_the_limit_and_are_said() -> None:
    def respond(call: Call) -> Say:
        return Say(cut=True) if call.same == 0 else Say(usage=(30, 10))

    with ChatServer(respond) as server:
        teacher = endpoint(server.url, price_in=1.0, price_out=1.0, max_cost=10 * 98e-6, concurrency=1)
        answers = teacher.ask([ask_of(i) for i in range(20)])
    lost = sum(1 for c in server.calls if c.same == 0)
    assert lost * 98e-6 + (len(server.calls) - lost) * 40e-6 <= 10 * 98e-6
    assert 0 < sum(a.ok for a in answers) < 20
    assert any("may have been billed" in note for note in teacher.notes())


def test_answers_without_usage_are_counted_at_their_most_and_said() -> None:
    with ChatServer(lambda call: Say(usage=None)) as server:
        teacher = endpoint(server.url, price_in=1.0, price_out=1.0)
        teacher.ask([ask_of(0)])
    assert teacher.ledger.cost == pytest.approx(98e-6)
    assert any("without usage figures" in note for note in teacher.notes())


def test_an_endpoint_that_adds_text_of_its_own_stretches_the_bound() -> None:
    with ChatServer(lambda call: Say(usage=(880, 10))) as server:
        teacher = endpoint(server.url, price_in=1.0, price_out=1.0, max_cost=5000e-6, concurrency=4)
        teacher.ask([ask_of(i) for i in range(20)])
    assert len(server.calls) * 890e-6 <= 5000e-6


def test_the_preview_says_it_is_an_estimate_then_uses_the_endpoints_counts() -> None:
    asked = [ask_of(i, 400) for i in range(100)]
    with ChatServer(lambda call: Say(usage=(200, 4))) as server:
        teacher = endpoint(server.url, price_in=1.0, price_out=1.0)
        before = teacher.preview([*asked, asked[0]])
        teacher.ask(asked[:10])
        after = teacher.preview(asked)
        assert len(server.calls) == 10
    assert (before.calls, before.cached, before.measured) == (100, 0, False)
    assert before.prompt_tokens == 100 * 400 // 4
    assert "an estimate: characters / 4" in before.text()
    assert (after.calls, after.cached, after.measured) == (90, 10, True)
    assert after.prompt_tokens == 90 * 200
    assert after.completion_tokens == 90 * 4
    assert after.cost == pytest.approx(90 * 204e-6)
    assert after.most_cost is not None
    assert after.most_cost > after.cost


@given(st.text(max_size=60), st.integers(0, 50), st.integers(1, 30))
def test_the_bound_holds_any_text_at_one_token_a_byte(text: str, prompt: int, out: int) -> None:
    request = Request((Message("user", text),), max_tokens=out)
    assert request.most_prompt_tokens >= len(text.encode("utf-8", "surrogatepass"))
    ledger = Ledger(Prices(1.0, 1.0), limit=1.0)
    held = ledger.hold(request)
    ledger.settle(request, held, Usage(min(prompt, request.most_prompt_tokens), out))
    assert ledger.held == pytest.approx((0.0, 0))
    assert 0 <= ledger.spent <= held.cost + 1e-15
    assert 0 <= ledger.paid.tokens <= held.tokens


def test_values_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="both prices"):
        Prices.of(1.0, None)
    with pytest.raises(UsageError, match="not negative"):
        Prices.of(-1.0, 1.0)
    with pytest.raises(UsageError, match="needs prices"):
        Ledger(None, 5.0)
    with pytest.raises(UsageError, match="not negative"):
        Ledger(Prices(1, 1), float("nan"))
