"""`--compile`: the same run but for rounding, few compilations, and on to the bit after an interruption."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskfork.learn.pretrain import pretrain
from tests.learn.pretrain.ground import ground

STEPS = 8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlm", "clm"])
def test_compiled_it_learns_the_same_and_resumes_to_the_bit(name: str, tmp_path: Path) -> None:
    """The mlm run is packed, with dropout and another layout in every batch: that must not be compiled again and again."""
    plain = ground(tmp_path, name, steps=STEPS, save_every=4, evaluate_every=0, compile=False)
    compiled = ground(tmp_path, name, steps=STEPS, save_every=4, evaluate_every=0, compile=True)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    own = pretrain(plain, tmp_path / "plain")
    whole = pretrain(compiled, tmp_path / "whole")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 32  # 16 batches: one by one it would be twice that
    assert abs(whole.loss - own.loss) < 2e-3 * own.loss
    calls: list[float] = []

    def pulled(share: float, words: str) -> None:
        calls.append(share)
        if len(calls) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(compiled, tmp_path / "cut", progress=pulled)
    said: list[str] = []
    pretrain(compiled, tmp_path / "cut", resume=True, tell=said.append)
    assert "goes on after step 4" in said
    for file in ("model.safetensors", f"checkpoints/step-{STEPS:08d}/tensors.safetensors"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()
