"""Labels read by the native pass: the tree's likelihoods are those of whole texts, and of torch where the weights are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskfork import Model, load
from maskfork.models.runtimes.writer import open_writer
from maskfork.models.runtimes.writing import WritingSettings, write_writing
from maskfork.prompt.score import PromptedClassifier
from maskfork.prompt.scoring import LabelTrie, Reader, reader, scores_along
from tests.learn.tiny import make, sentences

LABELS = [[5], [9, 12], [9, 12, 30], [9, 40, 41], [60]]
SHAPES: dict[str, dict[str, Any]] = {
    "llama": dict(hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2),
    "gpt2": dict(n_embd=64, n_head=4),
}


@pytest.fixture(scope="module", params=SHAPES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(request.param, "causal_lm", **SHAPES[request.param]).save(tmp_path_factory.mktemp(request.param))


def opened(folder: Path, precision: Any) -> Model:
    write_writing(folder, WritingSettings(engine="native", precision=precision, files={}))
    try:
        return open_writer(folder)
    finally:
        (folder / "writing.json").unlink()


def prompts(shared: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(3, 90, (shared,), generator=generator).tolist()
    rests = [torch.randint(3, 90, (n,), generator=generator).tolist() for n in (7, 1, 12, 4)]
    return [first + rest for rest in [*rests, rests[0], [*rests[0], 8], rests[2][:5]]]


@pytest.mark.parametrize("shared", [0, 20])
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_tree_is_its_texts(folder: Path, precision: str, shared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bits, also in int8: each text read by itself, whole."""
    model, asked = opened(folder, precision), prompts(shared)
    monkeypatch.setattr(reader, "TOKENS", 40)  # several passes behind one prefix
    found = Reader(model, LabelTrie.of(LABELS))
    wanted = []
    for prompt in asked:
        along = scores_along(model, [prompt + label for label in LABELS])
        said = [
            scores[len(prompt) - 1 : -1].log_softmax(-1).gather(1, torch.tensor(label)[:, None]).sum()
            for scores, label in zip(along, LABELS, strict=True)
        ]
        wanted.append([float(x) for x in said])
    for _ in range(2):  # the prefix is there the second time
        np.testing.assert_allclose(found.read(asked, shared).logprobs, wanted, atol=1e-4)
    np.testing.assert_allclose(found.read(asked[:2], 0).logprobs, wanted[:2], atol=1e-4)
    assert all(p.is_meta for p in model.parameters())


def test_a_classifier_by_the_native_pass_is_torchs(folder: Path) -> None:
    texts, shots = sentences(6)[0], [("a lovely scene", None, 0), ("light", None, 1)]
    ours, native = (
        PromptedClassifier(model, ("good", "rather unmemorable"), shots).predict(texts)
        for model in (load(folder), opened(folder, "fp32"))
    )
    np.testing.assert_allclose(native, ours, atol=1e-4)


def test_whole_texts_are_scored_alike(folder: Path) -> None:
    texts = prompts(3)
    for a, b in zip(scores_along(load(folder), texts), scores_along(opened(folder, "fp32"), texts), strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
