"""Smoothing changes no answer, and makes what goes into int8 alike."""

from __future__ import annotations

import torch

from maskfork.core.batch import Batch
from maskfork.core.linear import Linear
from maskfork.deploy.export.smooth import smoothed
from maskfork.models.quantised.int8 import quantise_int8
from maskfork.models.runtimes.whole import Whole
from tests.learn.tiny import make


def outlying() -> Whole:
    """A model one of whose inputs is fifty times larger than the others, as a Transformer's are."""
    model = make("bert", "classify", labels=("a", "b")).eval()
    with torch.no_grad():
        for block in model.body.encoder.layers:  # type: ignore[union-attr]
            block.feed_forward_residual.norm_sum.bias[3] += 50.0
    return Whole(model).eval()


def test_the_answer_stays_and_int8_is_nearer() -> None:
    draw = torch.Generator().manual_seed(0)
    batch = Batch.packed([torch.randint(5, 100, (n,), generator=draw).tolist() for n in (9, 5, 12, 7)])
    with torch.inference_mode():
        wanted = outlying()(batch)

    def error(smooth: bool) -> float:
        whole = outlying()
        with smoothed(whole, [batch] if smooth else []) as count:
            assert count > 0
            with torch.inference_mode():
                torch.testing.assert_close(whole(batch), wanted, atol=1e-4, rtol=1e-4)
            kept = {m: m.weight for m in whole.model.body.modules() if isinstance(m, Linear)}
            quantise_int8(whole.model.body)
            with torch.inference_mode():
                found = float((whole(batch) - wanted).abs().max())
            for linear, weight in kept.items():  # so that it can be taken back
                linear.packed = None
                linear.weight = weight
        with torch.inference_mode():
            torch.testing.assert_close(whole(batch), wanted)
        return found

    assert error(smooth=True) < 0.75 * error(smooth=False)
