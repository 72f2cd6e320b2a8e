"""Every kernel on every rule and layout, with and without a bias: the definition's numbers and gradients, or a refusal."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from maskfork import Causal, Full, Permutation, Prefix, Window
from maskfork.core.batch import Batch
from maskfork.core.kernels.choose import KERNELS, choose
from maskfork.core.kernels.contract import Ask, Plan, Refusal
from maskfork.core.mask import is_static
from maskfork.errors import KernelRefused, UsageError
from tests.core.oracle import LENGTHS, RULES, World, attend, bias_of, tensors, world

LAYOUTS = (
    "none",
    "right",
    "left",
    "one",
    "holes",
    "packed",
    "none+cache",
    "right+cache",
    "left+cache",
    "one+cache",
    "holes+cache",
)
NEAR = dict(atol=2e-5, rtol=2e-4)


def refusal(kernel: str, rule: str, layout: str) -> str | None:
    """The refusals that are known beforehand; anything else must be taken."""
    if kernel != "varlen":
        return None
    if "cache" in layout:
        return "cached keys stand in rows"
    if not is_static(RULES[rule]):
        return "other things of every row"
    return "holes" if layout == "holes" else None


def run(w: World, kernel: str, q: Tensor, k: Tensor, v: Tensor, table: Tensor | None) -> Tensor:
    plan = KERNELS[kernel].plan(w.ask)
    assert isinstance(plan, Plan), plan
    return plan.run(q, k, v, None if table is None else bias_of(table))[0]


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rule", list(RULES))
def test_equals_the_definition(rule: str, layout: str, bias: bool) -> None:
    w = world(RULES[rule], layout, bias=bias)
    exact = tensors(w)
    kept = w.kept[..., None, None]
    truth = attend(w, *exact[:3], exact[3] if bias else None) * kept
    weights = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (truth * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert bool((w.ask.allowed() & kept[:, :, 0, :].transpose(1, 2)[..., None] == w.allowed()).all())
    for kernel in ("reference", "sdpa", "varlen"):
        if (reason := refusal(kernel, rule, layout)) is not None:
            answer = KERNELS[kernel].plan(w.ask)
            assert isinstance(answer, Refusal)
            assert reason in answer.reason
            with pytest.raises(KernelRefused, match=kernel):
                choose(w.ask, kernel)
            continue
        given = [x.detach().float().requires_grad_() for x in exact]
        out = run(w, kernel, *given[:3], given[3] if bias else None) * kept
        torch.testing.assert_close(out.double(), truth, **NEAR, msg=lambda m, n=kernel: f"{n}: {m}")
        (out * weights.float()).sum().backward()  # type: ignore[no-untyped-call]
        for mine, true in zip(given, exact, strict=True):
            assert mine.grad is None or bool(mine.grad.isfinite().all()), kernel
            if true.grad is not None:
                grad = torch.zeros_like(mine) if mine.grad is None else mine.grad
                torch.testing.assert_close(grad.double(), true.grad, **NEAR, msg=lambda m, n=kernel: f"{n}: {m}")


QUICK = ("full", "window 1,1", "permutation of each row", "(causal & window) | prefix", "heads differ & window", "rows differ")


@torch.no_grad()
@pytest.mark.parametrize(
    ("rule", "layout"),
    [
        pytest.param(rule, layout, marks=[] if rule in QUICK and layout in ("left", "packed", "left+cache") else pytest.mark.slow)
        for rule in RULES
        for layout in LAYOUTS
    ],
)
def test_flex(rule: str, layout: str) -> None:
    """torch's own kernel for any predicate. On a CPU it runs uncompiled and without gradients."""
    bias = layout.startswith("left")
    w = world(RULES[rule], layout, bias=bias, grad=False)
    exact = tensors(w)
    truth = attend(w, *exact[:3], exact[3] if bias else None)
    q, k, v, table = (x.float() for x in exact)
    out = run(w, "flex", q, k, v, table if bias else None)
    kept = w.kept[..., None, None]
    torch.testing.assert_close((out * kept).double(), truth * kept, **NEAR)


@pytest.mark.parametrize("kernel", ["reference", "sdpa", "varlen"])
@pytest.mark.parametrize("bias", [False, True])
def test_nothing_to_read_gives_zeros(kernel: str, bias: bool) -> None:
    """Not the mean of all values, not NaN, and nothing flows back."""
    nothing = Window(0, 0) & Permutation(torch.arange(5), itself=False)
    rule = nothing if kernel != "varlen" else Window(None, 0) & Prefix(0) & NOBODY
    w = world(rule, "left" if kernel != "varlen" else "packed", bias=bias)
    given = [x.detach().float().requires_grad_() for x in tensors(w)]
    out = run(w, kernel, *given[:3], given[3] if bias else None)
    assert bool((out == 0).all())
    out.sum().backward()  # type: ignore[no-untyped-call]
    for x in given[:3]:
        assert x.grad is None or bool((x.grad == 0).all())


class Nobody(Causal):
    """No token may read any."""

    def allow(self, b: Any, h: Any, q: Any, k: Any) -> Any:
        return (k <= q) & (k > q)


NOBODY = Nobody()


def test_a_rule_that_looks_like_another_is_not_taken_for_it() -> None:
    """Kernels have short ways for Full and Causal; a subclass with its own predicate must not be sent down them."""
    for kernel in ("reference", "sdpa", "varlen"):
        for layout in ("none", "packed"):
            w = world(NOBODY, layout)
            q, k, v, _ = (x.detach().float() for x in tensors(w))
            assert bool((run(w, kernel, q, k, v, None) == 0).all()), (kernel, layout)


@pytest.mark.parametrize(
    ("kernel", "more", "reason"),
    [
        ("sdpa", {"weights": True}, "does not give the attention weights"),
        ("varlen", {"weights": True}, "does not give the attention weights"),
        ("flex", {"weights": True}, "does not give the attention weights"),
        ("sdpa", {"softcap": 3.0}, "cannot cap the logits"),
        ("flex", {"dropout": 0.1, "grad": False}, "no dropout"),
        ("flex", {"grad": True}, "no gradients"),
    ],
)  # fmt: skip
def test_refusals(kernel: str, more: dict[str, Any], reason: str) -> None:
    w = world(Causal(), "packed", **{"grad": False, **more})
    answer = KERNELS[kernel].plan(w.ask)
    assert isinstance(answer, Refusal)
    assert reason in answer.reason
    with pytest.raises(KernelRefused, match=f"the {kernel} kernel refuses .*{reason}.*use kernel='auto'"):
        choose(w.ask, kernel)


def test_softcap() -> None:
    for kernel in ("reference", "flex"):
        w = world(Causal(), "left", softcap=1.5, grad=False)
        with torch.no_grad():
            exact = tensors(w)
            out = run(w, kernel, *(x.float() for x in exact[:3]), None)
            torch.testing.assert_close((out * w.kept[..., None, None]).double(), attend(w, *exact[:3], None), **NEAR)


def test_auto_says_who_took_it_and_who_refused() -> None:
    plan, refused = choose(world(Causal(), "packed").ask)
    assert (plan.kernel, refused) == ("varlen", [])
    assert plan.how == "3 sequences in 3 groups of equal length"
    plan, refused = choose(world(RULES["permutation"], "packed").ask)
    assert (plan.kernel, [r.kernel for r in refused]) == ("sdpa", ["varlen"])
    plan, refused = choose(world(Causal(), "left", weights=True).ask)
    assert (plan.kernel, [r.kernel for r in refused]) == ("reference", ["sdpa"])
    assert choose(world(Causal(), "none").ask)[0].how == "its causal flag"
    assert choose(world(Full(), "none").ask)[0].how == "no mask"
    assert choose(world(Causal(), "left").ask)[0].how == "a dense mask"
    with pytest.raises(UsageError, match="no attention kernel 'fast': use auto, banded, varlen, sdpa, capped, flex, reference"):
        choose(world(Causal(), "left").ask, "fast")


@pytest.mark.parametrize("rule", ["full", "causal", "window 1,1", "prefix 2"])
def test_cross_attention(rule: str) -> None:
    """Queries and keys of unlike lengths: `Keep(source)` when padded, sequence to sequence when packed."""
    texts, sources = [[7] * n for n in LENGTHS], [[7] * n for n in (2, 6, 4)]
    g = torch.Generator().manual_seed(0)
    queries, keys = Batch.from_lists(texts, 0), Batch.from_lists(sources, 0)
    q, k, v = (torch.randn(3, n, h, 3, generator=g) for n, h in ((5, 4), (6, 2), (6, 2)))
    made = dict(rule=RULES[rule], heads=4, kv_heads=2, scale=0.5)
    padded = KERNELS["reference"].plan(Ask(queries=queries, keys=keys, **made))  # type: ignore[arg-type]
    assert isinstance(padded, Plan)
    truth = padded.run(q, k, v, None)[0]
    for i, n in enumerate(LENGTHS):  # and the definition itself against each pair alone
        alone = Ask(queries=Batch.packed([texts[i]]), keys=Batch.packed([sources[i]]), **made)  # type: ignore[arg-type]
        plan, m = KERNELS["sdpa"].plan(alone), len(sources[i])
        assert isinstance(plan, Plan)
        torch.testing.assert_close(
            plan.run(q[i : i + 1, :n], k[i : i + 1, :m], v[i : i + 1, :m], None)[0][0], truth[i, :n], **NEAR
        )
    packed = Ask(queries=queries.pack(), keys=keys.pack(), **made)  # type: ignore[arg-type]
    flat = [torch.cat([x[i, :n] for i, n in enumerate(lens)])[None] for x, lens in ((q, LENGTHS), (k, (2, 6, 4)), (v, (2, 6, 4)))]
    for kernel in ("reference", "sdpa", "varlen"):
        plan = KERNELS[kernel].plan(packed)
        assert isinstance(plan, Plan)
        out = queries.pack().unpack(plan.run(*flat, None)[0])  # type: ignore[call-arg]
        for i, n in enumerate(LENGTHS):
            torch.testing.assert_close(out[i, :n], truth[i, :n], **NEAR)
    with pytest.raises(UsageError, match="one side of the attention is packed"):
        KERNELS["reference"].plan(Ask(queries=queries.pack(), keys=keys, **made))  # type: ignore[arg-type]
