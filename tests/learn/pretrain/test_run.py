"""Runs of every objective: they learn, go on to the bit after any interruption, and refuse what would spoil them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskfork import load
from maskfork.core.batch import Batch
from maskfork.errors import DataError, ModelError, UsageError
from maskfork.learn.pretrain import pretrain
from maskfork.learn.pretrain.build import ids_of
from maskfork.learn.pretrain.choose import objective_of
from maskfork.learn.pretrain.run import Asked, Questions
from maskfork.learn.pretrain.settings import read_settings, settings_of
from maskfork.learn.train.optimise import Optimisers, adamw, muon
from maskfork.learn.train.run import Plan, State, run
from maskfork.models.hub import build
from tests.learn.pretrain.ground import FAMILY, SIZES, ground, text, tokens_of


class Same:
    """One batch for ever."""

    epoch = 0

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __iter__(self) -> Same:
        return self

    def __next__(self) -> Batch:
        return self.batch

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert state == {}


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize("name", list(FAMILY))
def test_a_few_sentences_are_learnt_by_heart(name: str, optimiser: str) -> None:
    """The questions change at every step, the texts do not."""
    family = FAMILY[name]
    tokenizer = tokens_of(family)
    config = {"model_type": family, "vocab_size": tokenizer.size, "max_position_embeddings": 64, **SIZES[family],
              **ids_of(family, tokenizer)}  # fmt: skip
    config |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout_rate", "dropout"), 0.0)
    objective = objective_of(name, tokenizer)
    model = build(config, objective.head, seed=1)
    lists = [tokenizer.encode(line) for line in text().splitlines()[:4]]
    steps = 250
    if optimiser == "muon":
        optimisers = muon(model, 1e-2, 0.0)
    else:
        optimisers = Optimisers(adamw(model.named_parameters(), 1e-2, 0.0, (0.9, 0.95)))
    state: State[Asked] = State(model, optimisers, Questions(Same(Batch.from_lists(lists, 0)), objective, 0))
    run(state, Plan(steps), lambda m, asked: objective.loss(m, asked.sample).total, weigh=lambda asked: asked.count)  # type: ignore[arg-type]
    losses = state.record.losses
    assert losses[0] > 3.0
    assert np.mean(losses[-30:]) < 0.15 * losses[0], losses[-5:]


def lines(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what the clock says."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in found]


def same_run(one: Path, other: Path) -> bool:
    """Metrics, model and the last checkpoint's tensors, to the last bit."""
    for name in ("model.safetensors", "checkpoints/step-00000020/tensors.safetensors"):
        if (one / name).read_bytes() != (other / name).read_bytes():
            return False
    return lines(one) == lines(other)


@pytest.mark.parametrize(("name", "at"), [("mlm", 13), ("clm", 3), ("denoise", 19)])
def test_interrupted_anywhere_it_goes_on_to_the_bit(name: str, at: int, tmp_path: Path) -> None:
    settings = ground(tmp_path, name, sample_every=4, optimiser="muon" if name == "mlm" else "adamw")
    pretrain(settings, tmp_path / "whole")
    steps: list[float] = []

    def pulled(share: float, words: str) -> None:
        steps.append(share)
        if len(steps) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(settings, tmp_path / "cut", progress=pulled)
    said: list[str] = []
    torch.rand(5)
    done = pretrain(settings, tmp_path / "cut", resume=True, tell=said.append)
    wanted = f"goes on after step {at // 5 * 5}" if at >= 5 else "no whole checkpoint is there: starts from the first step"
    assert wanted in said
    assert same_run(tmp_path / "whole", tmp_path / "cut")
    assert done.steps == 20
    again = pretrain(settings, tmp_path / "cut", resume=True)  # a run that has ended
    assert (again.loss, again.held_loss) == (done.loss, done.held_loss)
    assert same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_torn_checkpoint_is_passed_over(tmp_path: Path) -> None:
    settings = ground(tmp_path, keep=3)
    pretrain(settings, tmp_path / "whole")
    pretrain(settings, tmp_path / "torn")
    for name, harm in (("step-00000020", b""), ("step-00000015", b"{}")):
        (tmp_path / "torn" / "checkpoints" / name / "state.json").write_bytes(harm)
    said: list[str] = []
    pretrain(settings, tmp_path / "torn", resume=True, tell=said.append)
    assert any(line.startswith("checkpoint step-00000020 is torn (") for line in said)
    assert "goes on after step 10" in said
    assert same_run(tmp_path / "whole", tmp_path / "torn")


def test_a_full_disk_ends_the_run_and_it_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maskfork.learn.train import checkpoint

    settings = ground(tmp_path)
    pretrain(settings, tmp_path / "whole")
    write, calls = checkpoint.write_tensors, []

    def full(file: Path, tensors: Any) -> str:
        calls.append(file)
        if len(calls) == 3:
            file.write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        return write(file, tensors)

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    with pytest.raises(ModelError, match=r"the disk is full: the checkpoint of step 15 .* step-00000010 is intact: make room"):
        pretrain(settings, tmp_path / "cut")
    pretrain(settings, tmp_path / "cut", resume=True)
    assert same_run(tmp_path / "whole", tmp_path / "cut")


def test_the_folder_is_a_model_of_the_library_and_the_settings_repeat_the_run(tmp_path: Path) -> None:
    import transformers

    settings = ground(tmp_path)
    done = pretrain(settings, tmp_path / "out")
    assert done.held_loss is not None
    assert done.tokens == 20 * 4 * 24 * 2
    theirs, info = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    ours = load(tmp_path / "out")
    tokens = torch.tensor([ours.tokenizer.encode("the film was dull")])
    torch.testing.assert_close(ours(tokens).logits, theirs.eval()(tokens).logits, atol=1e-4, rtol=1e-3)
    assert ours.spec.vocab_size % 64 == 0
    assert settings_of(read_settings(tmp_path / "out")) == settings


def test_a_run_is_neither_overwritten_nor_bent(tmp_path: Path) -> None:
    settings = ground(tmp_path, steps=5)
    pretrain(settings, tmp_path / "out")
    with pytest.raises(UsageError, match="holds a run or a model already: go on with --resume"):
        pretrain(settings, tmp_path / "out")
    with pytest.raises(UsageError, match=r"cannot go on with other settings \(rows was 4 and is now 8\)"):
        pretrain(ground(tmp_path, steps=5, rows=8), tmp_path / "out", resume=True)
    with pytest.raises(UsageError, match="nothing was started there"):
        pretrain(settings, tmp_path / "other", resume=True)
    (tmp_path / "text.txt").write_text(text() + "more words of the film\n" * 40)
    with pytest.raises(DataError, match=r"text.txt has changed since"):
        pretrain(settings, tmp_path / "out", resume=True)


def test_a_lost_run_keeps_its_batch(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"lower the learning rate.*the batch is in .*lost-at-"):
        pretrain(ground(tmp_path, learning_rate=1e30, clip=1e30, steps=50), tmp_path / "out")
    (file,) = (tmp_path / "out").glob("lost-at-*.pt")
    saved = torch.load(file, weights_only=True)
    assert saved["batches"][0]["sample"]["batch"]["tokens"].shape == (1, 96)


@pytest.mark.parametrize(
    ("family", "name", "settings"),
    [("electra", "rtd", ()), ("bert", "mlm", ("units=word", "rate=0.3")), ("bert", "nsp", ()), ("llama", "prefix-lm", ())],
)
def test_other_objectives_run_and_go_on(family: str, name: str, settings: tuple[str, ...], tmp_path: Path) -> None:
    given = ground(
        tmp_path, "clm" if family == "llama" else "mlm", family=family, objective=name, objective_settings=settings, steps=8,
        documents="line", save_every=3, sample_every=8,
    )  # fmt: skip
    pretrain(given, tmp_path / "whole")
    done: list[float] = []

    def pulled(share: float, words: str) -> None:
        done.append(share)
        if words.startswith("step 5/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(given, tmp_path / "cut", progress=pulled)
    pretrain(given, tmp_path / "cut", resume=True)
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")
    assert (tmp_path / "cut/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    load(tmp_path / "cut")
