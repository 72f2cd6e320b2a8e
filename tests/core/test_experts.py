"""Experts against a loop over tokens, the reference's router loss, and what must not matter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from maskfork.core.experts import Experts, PerExpert, feed_forward, router_loss
from maskfork.core.parts import FeedForward
from maskfork.core.spec import ExpertsSpec, FeedForwardSpec
from maskfork.errors import ModelError

GATED = FeedForwardSpec(12, "silu", gated=True, bias=False)
SPECS = {
    "mixtral": ExpertsSpec(4, 2, GATED),
    "qwen3": ExpertsSpec(8, 3, GATED, normalise=False),
    "one": ExpertsSpec(5, 1, GATED.replace(gated=False, activation="gelu")),
    "all": ExpertsSpec(3, 3, GATED),
    "deepseek": ExpertsSpec(8, 3, GATED, shared=GATED.replace(size=7), scoring="sigmoid", scaling=2.5, groups=4, groups_chosen=2,
                            correction=True),
    "moonlight": ExpertsSpec(8, 2, GATED, shared=GATED, scoring="sigmoid", scaling=2.0, correction=True),
}  # fmt: skip
SIZE = 10


def made(name: str, dtype: torch.dtype = torch.float64) -> Experts:
    part = Experts(SPECS[name], SIZE).to(dtype)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in part.parameters():
            p.copy_(0.5 * torch.randn(p.shape, generator=generator))
    return part


def tokens(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_by_one(part: Experts, x: Tensor) -> Tensor:
    """The definition: one token after the other, one expert after the other, every choice made by sorting a list."""
    spec, bank, outs = part.spec, part.experts, []
    for token in x:
        logits = part.router.weight @ token
        scores = logits.sigmoid() if spec.scoring == "sigmoid" else logits.softmax(-1, dtype=torch.float32)
        sway = (scores if part.correction is None else scores + part.correction).tolist()
        each = spec.count // spec.groups
        groups = [sorted(range(g * each, (g + 1) * each), key=lambda e: -sway[e]) for g in range(spec.groups)]
        groups.sort(key=lambda members: -sum(sway[e] for e in members[:2]))
        open_to = [e for members in groups[: spec.groups_chosen] for e in members]
        chosen = sorted(open_to, key=lambda e: -sway[e])[: spec.chosen]
        total = sum(scores[e] for e in chosen) if spec.normalise else 1.0
        out = torch.zeros_like(token) if part.shared is None else part.shared(token)
        for e in chosen:
            inner = bank.up[e] @ token
            if spec.expert.gated:
                gate, inner = inner.chunk(2)
                inner = bank.act(gate) * inner
            else:
                inner = bank.act(inner)
            out = out + (scores[e] / total * spec.scaling).to(x.dtype) * (bank.down[e] @ inner)
        outs.append(out)
    return torch.stack(outs)


@pytest.mark.parametrize("name", list(SPECS))
def test_equals_a_loop_over_tokens(name: str) -> None:
    part, x = made(name), tokens(2, 7)
    truth = one_by_one(part, x.flatten(0, 1)).view_as(x)
    weights = tokens(2, 7, seed=3)
    (truth * weights).sum().backward()  # type: ignore[no-untyped-call]
    expected = {n: p.grad.clone() for n, p in part.named_parameters() if p.grad is not None}
    part.zero_grad()
    routed: list[Tensor] = []
    out = part(x, routed)
    torch.testing.assert_close(out, truth, atol=1e-6, rtol=1e-6)  # the weights of the softmax are float32
    torch.testing.assert_close(routed[0].double(), x.flatten(0, 1) @ part.router.weight.T, atol=1e-6, rtol=1e-6)
    (out * weights).sum().backward()
    found = {n: p.grad for n, p in part.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    assert "correction" not in found
    for n, grad in expected.items():
        torch.testing.assert_close(found[n], grad, atol=1e-5, rtol=1e-5, msg=lambda m, n=n: f"{n}: {m}")


def test_gradient_against_differences() -> None:
    x, stack = tokens(6).requires_grad_(), torch.randn(4, 3, SIZE, dtype=torch.float64).requires_grad_()
    for loads in ([2, 0, 3, 1], [0, 6, 0, 0]):
        assert torch.autograd.gradcheck(lambda a, b, loads=loads: PerExpert.apply(a, b, loads), (x, stack))


@torch.no_grad()
def test_tokens_do_not_meet() -> None:
    """A token's output is its own, whatever stands beside it: padding, another row, nothing."""
    part, x = made("deepseek"), tokens(3, 5)
    whole = part(x)
    torch.testing.assert_close(part(x[1:2, 2:3]), whole[1:2, 2:3])
    torch.testing.assert_close(part(x.flip(0, 1)).flip(0, 1), whole)
    assert part(x[:, :0]).shape == (3, 0, SIZE)


@torch.no_grad()
def test_the_correction_sways_the_choice_and_not_the_weight() -> None:
    part, x = made("moonlight"), tokens(20)
    assert part.correction is not None
    part.correction.zero_()
    logits, weights, chosen = part.route(x)
    part.correction[6] = 9.0
    _, swayed, now = part.route(x)
    assert bool((now == 6).any(-1).all())
    assert not bool((chosen == 6).any(-1).all())
    raw = logits.sigmoid().gather(-1, now)
    torch.testing.assert_close(swayed, (2.0 * raw / raw.sum(-1, keepdim=True)).double(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(weights.sum(-1), torch.full((20,), 2.0).double(), atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_groups_shut_experts_out() -> None:
    part, x = made("deepseek"), tokens(50)
    _, _, chosen = part.route(x)
    assert max(len(set(row)) for row in (chosen // 2).tolist()) == 2  # of four groups of two
    assert all(len(set(row)) == 3 for row in chosen.tolist())


@pytest.mark.parametrize("masked", [False, True])
def test_router_loss_is_the_reference_s(masked: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = tuple(torch.randn(12, 6, generator=generator, requires_grad=True) for _ in range(3))
    keep = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]]) if masked else None
    theirs = load_balancing_loss_func(logits, 6, 2, keep)
    assert isinstance(theirs, Tensor)
    truth = torch.autograd.grad(theirs, logits)
    ours = router_loss(logits, 6, 2, keep)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, logits), truth)


def test_router_loss_is_least_when_all_experts_work_alike() -> None:
    """`chosen` where loads and probabilities are even, `count` where one expert of one does everything."""
    even = torch.eye(4).repeat(5, 1) * 1e-3
    alone = torch.tensor([[50.0, 0.0, 0.0, 0.0]]).expand(20, 4)
    assert float(router_loss([even], 4, 1)) == pytest.approx(1.0, abs=1e-5)
    assert float(router_loss([alone], 4, 1)) == pytest.approx(4.0, abs=1e-5)


@torch.no_grad()
def test_padding_does_not_matter_to_the_router_loss() -> None:
    logits = [torch.randn(10, 4), torch.randn(10, 4)]
    keep = torch.tensor([1, 1, 0, 1, 0, 1, 1, 1, 0, 1])
    spoiled = [torch.where(keep[:, None].bool(), x, torch.full_like(x, 7.0)) for x in logits]
    torch.testing.assert_close(router_loss(spoiled, 4, 2, keep), router_loss([x[keep.bool()] for x in logits], 4, 2))


def test_what_is_refused() -> None:
    with pytest.raises(ModelError, match="experts with biases"):
        Experts(ExpertsSpec(4, 2, GATED.replace(bias=True)), SIZE)
    for spec in (ExpertsSpec(8, 5, GATED, groups=4, groups_chosen=2), ExpertsSpec(8, 2, GATED, groups=3)):
        with pytest.raises(ModelError, match="cannot be chosen from"):
            Experts(spec, SIZE)


def test_either_kind_of_feed_forward() -> None:
    assert isinstance(feed_forward(SPECS["one"], SIZE), Experts)
    assert isinstance(feed_forward(GATED, SIZE), FeedForward)
