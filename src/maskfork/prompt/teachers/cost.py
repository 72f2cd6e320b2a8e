"""What the questions will cost, what they have cost, and the stop before more is spent than allowed.

Prices are the user's own, per million tokens, in the user's currency. Without prices the cost is None (not known),
never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from maskfork.errors import UsageError
from maskfork.prompt.teachers.messages import Request, Usage

CHARS_PER_TOKEN = 4.0  # a rule of thumb for English; replaced by the endpoint's own counts as soon as there are some


@dataclass(frozen=True)
class Prices:
    """Price of a million prompt tokens and of a million completion tokens."""

    per_million_in: float
    per_million_out: float

    @classmethod
    def of(cls, price_in: float | None, price_out: float | None) -> Prices | None:
        """Both prices or neither; raises `UsageError` for one alone or a negative one."""
        if price_in is None and price_out is None:
            return None
        if price_in is None or price_out is None:
            raise UsageError("A cost needs both prices: give the price per million tokens in and out.")
        if not (0 <= price_in < float("inf") and 0 <= price_out < float("inf")):
            raise UsageError("A price per million tokens must be a number that is not negative.")
        return cls(price_in, price_out)

    def cost(self, usage: Usage) -> float:
        return (usage.prompt_tokens * self.per_million_in + usage.completion_tokens * self.per_million_out) / 1e6


@dataclass(frozen=True)
class Preview:
    """What a list of requests would cost, before any is sent. Costs are None without prices."""

    calls: int
    cached: int
    prompt_tokens: int
    completion_tokens: int
    most_completion_tokens: int
    cost: float | None
    most_cost: float | None
    measured: bool
    """True when the token counts rest on the endpoint's own figures, False for characters / 4."""

    def text(self) -> str:
        """The preview as a paragraph for the user."""
        how = "from the endpoint's counts so far" if self.measured else "an estimate: characters / 4"
        said = (
            f"{self.calls} calls to make, {self.cached} answers already paid; about {self.prompt_tokens:,} tokens in "
            f"({how}) and {self.completion_tokens:,} out."
        )
        if self.cost is None or self.most_cost is None:
            return said + " Cost: not known without prices per million tokens."
        return said + f" Cost: about {self.cost:.4g}, at most {self.most_cost:.4g} if every call fills its bounds."


class Bill(NamedTuple):
    """Money in the user's currency (0 without prices) and tokens in and out together."""

    cost: float = 0.0
    tokens: int = 0

    def plus(self, other: Bill) -> Bill:
        return Bill(self.cost + other.cost, self.tokens + other.tokens)

    def minus(self, other: Bill) -> Bill:
        return Bill(self.cost - other.cost, self.tokens - other.tokens)


@dataclass
class Ledger:
    """Counts what was spent in this run; holds back the worst case of each call in flight.

    Before a call its worst case is held (`hold`), after it the real bill by the endpoint's usage takes its place
    (`settle`). A call is refused when paid + doubtful + held + worst is above `limit` (money) or `token_limit`, so neither
    is passed as long as an endpoint bills what it reports. Calls cut or timed out may have been billed: they stay counted
    as `doubtful`.
    """

    prices: Prices | None
    limit: float | None = None
    token_limit: int | None = None
    paid: Bill = field(default_factory=Bill)
    held: Bill = field(default_factory=Bill)
    doubtful: Bill = field(default_factory=Bill)
    calls: int = 0
    doubtful_calls: int = 0
    calls_without_usage: int = 0
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    _chars: int = 0
    _stretch: float = 1.0

    def __post_init__(self) -> None:
        if self.limit is not None and self.prices is None:
            raise UsageError("A highest cost needs prices: give the price per million tokens in and out, or leave the limit off.")
        if self.limit is not None and not self.limit >= 0:
            raise UsageError("The highest cost must be a number that is not negative.")
        if self.token_limit is not None and self.token_limit < 1:
            raise UsageError("The most tokens that may be spent must be 1 or more.")

    @property
    def spent(self) -> float:
        """Money, by the endpoint's own usage figures; 0 without prices."""
        return self.paid.cost

    def worst(self, request: Request) -> Bill:
        """The most that one call can take."""
        most_in = round(request.most_prompt_tokens * self._stretch)
        return self._bill(Usage(most_in, request.max_tokens))

    def fits(self, request: Request) -> bool:
        return self.refusal(request) is None

    def refusal(self, request: Request) -> str | None:
        """Why a call may not be made now, as the middle of a sentence; None where it may."""
        worst = self.worst(request)
        after = self.paid.plus(self.doubtful).plus(self.held).plus(worst)
        if self.limit is not None and after.cost > self.limit + 1e-12:
            return (
                f"the highest cost of {self.limit:g} could be passed: {self.paid.cost:.4g} is spent and the next call may cost "
                f"{worst.cost:.4g}"
            )
        if self.token_limit is not None and after.tokens > self.token_limit:
            return (
                f"the most tokens, {self.token_limit:,}, could be passed: {self.paid.tokens:,} are spent and the next call may "
                f"take {worst.tokens:,}"
            )
        return None

    def hold(self, request: Request) -> Bill:
        """Hold back the worst case of a call; give the same bill to `settle`, `lose` or `release` afterwards."""
        worst = self.worst(request)
        self.held = self.held.plus(worst)
        return worst

    def settle(self, request: Request, held: Bill, usage: Usage | None) -> None:
        """The call was answered."""
        self.held = self.held.minus(held)
        self.calls += 1
        if usage is None:
            self.calls_without_usage += 1
            self.paid = self.paid.plus(held)
            return
        self.usage += usage
        self._chars += request.chars
        if usage.prompt_tokens > request.most_prompt_tokens * self._stretch:
            self._stretch = usage.prompt_tokens / request.most_prompt_tokens  # the endpoint adds a text of its own
        self.paid = self.paid.plus(self._bill(usage))

    def lose(self, held: Bill) -> None:
        """The call brought no answer, and the endpoint may still bill it."""
        self.held = self.held.minus(held)
        self.doubtful = self.doubtful.plus(held)
        self.doubtful_calls += 1

    def release(self, held: Bill) -> None:
        """The call was refused and costs nothing."""
        self.held = self.held.minus(held)

    def _bill(self, usage: Usage) -> Bill:
        cost = self.prices.cost(usage) if self.prices is not None else 0.0
        return Bill(cost, usage.prompt_tokens + usage.completion_tokens)

    def preview(self, requests: Sequence[Request], cached: int) -> Preview:
        """The cost of `requests` (those not yet answered), with token counts sharpened by the answers so far."""
        measured = self._chars > 0 and self.calls > self.calls_without_usage
        per_char = self.usage.prompt_tokens / self._chars if measured else 1 / CHARS_PER_TOKEN
        most_out = sum(r.max_tokens for r in requests)
        out = most_out
        if measured:
            out = min(most_out, round(len(requests) * self.usage.completion_tokens / self._counted))
        prompt = round(sum(r.chars for r in requests) * per_char)
        cost = self.prices.cost(Usage(prompt, out)) if self.prices else None
        most = sum(self.worst(r).cost for r in requests) if self.prices else None
        return Preview(len(requests), cached, prompt, out, most_out, cost, most, measured)

    @property
    def _counted(self) -> int:
        return self.calls - self.calls_without_usage

    @property
    def cost(self) -> float | None:
        """`spent`, and None without prices."""
        return self.spent if self.prices else None

    def notes(self) -> list[str]:
        said = []
        if self.calls_without_usage and self.prices:
            said.append(
                f"{self.calls_without_usage} answer(s) came without usage figures; they are counted at the most they "
                "can have cost."
            )
        if self.doubtful_calls:
            most = f" (at most {self.doubtful.cost:.4g} in all, not in the cost)" if self.prices else ""
            said.append(f"{self.doubtful_calls} call(s) were cut or timed out and may have been billed{most}.")
        return said
