"""Mixtures: shares over many texts, each part's sample and loss as alone, UL2's denoisers and modes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.learn.objectives.clm import CausalLM
from maskfork.learn.objectives.contract import IGNORE_INDEX, Mixed, Sample, SourceTarget
from maskfork.learn.objectives.corruption import SpanCorruption, restore, suffix_mask
from maskfork.learn.objectives.distill import Distill
from maskfork.learn.objectives.fim import FillInTheMiddle
from maskfork.learn.objectives.mixture import UL2, Mixture, Part, modes_of, some, ul2
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.prefix import PrefixLM
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import build
from tests.learn.objectives.test_corruption import SENTINELS, TINY, WORDS, texts
from tests.learn.tiny import tokenizer

GPT = dict(model_type="gpt2", vocab_size=200, n_embd=32, n_layer=2, n_head=4, n_positions=128)


def parts_of(sample: Sample) -> dict[int, Sample]:
    assert isinstance(sample.batch, Mixed)
    return dict(sample.batch.parts)


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_shares_and_every_text_once(layout: str) -> None:
    lists = [[i // 90 + 3, i % 90 + 3, *([7] * (i % 5))] for i in range(8000)]
    batch = Batch.packed(lists) if layout == "packed" else Batch.from_lists(lists, 0)
    mixture = Mixture((Part(CausalLM(), 3.0), Part(PrefixLM(0.5), 1.0)))
    sample = mixture(batch, np.random.default_rng(0))
    found: list[list[int]] = []
    for number, part in parts_of(sample).items():
        assert isinstance(part.batch, Batch)
        assert part.batch.is_packed == batch.is_packed
        rows = [part.batch.tokens[row, start : start + n].tolist() for row, start, n in part.batch.sequences]
        assert abs(len(rows) / 8000 - (0.75, 0.25)[number]) < 0.02  # four standard errors
        assert torch.equal(part.targets, mixture.parts[number].objective(part.batch, np.random.default_rng(0)).targets)  # type: ignore[arg-type]
        found += rows
    assert sorted(found) == sorted(lists)


def test_by_batch_draws_one() -> None:
    mixture = Mixture((Part(CausalLM(), 1.0), Part(PrefixLM(), 3.0)), by="batch")
    batch = Batch.packed(texts(5, 6))
    drawn = []
    for seed in range(800):
        ((number, part),) = parts_of(mixture(batch, np.random.default_rng(seed))).items()
        assert part.batch is batch
        drawn.append(number)
    assert abs(np.mean(drawn) - 0.75) < 0.07


def test_the_loss_is_the_mean_over_all_targets() -> None:
    model = build(GPT, "causal_lm")
    mixture = Mixture((Part(CausalLM()), Part(PrefixLM(0.8), label="prefix")))
    mixture.check(model)
    sample = mixture(Batch.packed(texts(30, 8, 20, 11, 5, 9)), np.random.default_rng(0))
    with torch.no_grad():
        loss = mixture.loss(model, sample)
        total, count = 0.0, 0
        for part in parts_of(sample).values():
            logits = model(part.batch, mask=part.mask).logits.flatten(0, 1)
            total += float(torch.nn.functional.cross_entropy(logits, part.targets.flatten(), reduction="sum"))  # type: ignore[union-attr]
            count += int((part.targets != IGNORE_INDEX).sum())
    assert float(loss.total) == pytest.approx(total / count, rel=1e-5)
    assert set(loss.parts) == {"clm", "prefix"}
    assert int((sample.targets != IGNORE_INDEX).sum()) == count


def test_some_of_a_batch() -> None:
    lists = texts(3, 5, 4)
    types = [[0] * len(x) for x in lists]
    types[2][2:] = [1] * 3
    for batch in (Batch.packed(lists, types), Batch.from_lists(lists, 0, types)):
        part = some(batch, np.array([0, 2]))
        assert part.types is not None
        rows = [(part.tokens[r, s : s + n].tolist(), part.types[r, s : s + n].tolist()) for r, s, n in part.sequences]
        assert rows == [(lists[0], types[0]), (lists[2], types[2])]
        assert int(part.positions.max()) == 4


def test_uls_denoisers() -> None:
    """Seven as likely each; the way back from every one; each source begins with its mode."""
    modes = {"R": (97,), "S": (98,), "X": (2,)}
    mixture = ul2(WORDS, modes)
    lists = texts(*[int(n) for n in np.random.default_rng(0).integers(20, 60, 2100)])
    sample = mixture(Batch.packed(lists), np.random.default_rng(1))
    counts, back = [], []
    for number, part in sorted(parts_of(sample).items()):
        mode, span, density = UL2[number]
        assert isinstance(part.batch, SourceTarget)
        assert isinstance(part.targets, torch.Tensor)
        counts.append(len(part.batch.source.sequences))
        for (a, s, n), (b, t, m) in zip(part.batch.source.sequences, part.batch.target.sequences, strict=True):
            read, said = part.batch.source.tokens[a, s : s + n].numpy(), part.targets[b, t : t + m].numpy()
            assert read[0] == modes[mode][0]
            text = restore(read[1:-1], said[:-1], SENTINELS).tolist()
            back.append([*text, 1])
            cuts = int(np.isin(read, SENTINELS).sum())
            if span is None:
                assert (cuts, read[-2]) == (1, SENTINELS[0])
            elif span == 64:
                assert cuts == 1
            noise = m - cuts - 1
            if span is not None:
                assert abs(noise - density * len(text)) <= 0.5
    assert sorted(back) == sorted(lists)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_suffixes_have_the_density_on_average() -> None:
    rng = np.random.default_rng(0)
    masks = [suffix_mask(100, 0.25, rng) for _ in range(20_000)]
    sizes = np.array([m.sum() for m in masks])
    assert abs(sizes.mean() - 25) < 0.4  # four standard errors
    assert (sizes.min(), sizes.max()) == (1, 49)
    assert all(m[-s:].all() and not m[:-s].any() for m, s in zip(masks[:50], sizes[:50], strict=True))
    assert suffix_mask(2, 0.25, rng).tolist() == [False, True]


def test_ul2_is_answered() -> None:
    model, mixture = build(TINY, "causal_lm"), ul2(WORDS)
    mixture.check(model)
    for batch in (Batch.packed(texts(*[30] * 12)), Batch.from_lists(texts(*[30] * 12), 0)):
        loss = mixture.loss(model, mixture(batch, np.random.default_rng(0)))
        assert len(loss.parts) > 2
        assert min(loss.parts.values()) <= float(loss.total.detach()) <= max(loss.parts.values())


def test_modes_of_a_tokenizer() -> None:
    own = tokenizer("t5")
    assert modes_of(own) == {}
    own.inner.add_special_tokens(["[NLU]", "[NLG]", "[S2S]"])
    assert modes_of(own) == {mode: (own.id(name),) for mode, name in (("R", "[NLU]"), ("S", "[S2S]"), ("X", "[NLG]"))}


def test_modes_stand_before_a_decoders_text() -> None:
    mixture = Mixture((Part(CausalLM(), mode=(99, 98)),))
    (part,) = parts_of(mixture(Batch.from_lists(texts(4, 2), 0), np.random.default_rng(0))).values()
    assert isinstance(part.batch, Batch)
    assert part.batch.tokens[:, :2].tolist() == [[99, 98]] * 2
    assert [n for _, _, n in part.batch.sequences] == [7, 5]


def test_wrong_questions() -> None:
    words = Vocabulary(99, frozenset(range(5)), mask=4, pad=0, fill=(1, 2, 3))
    with pytest.raises(UsageError, match="these need different ones: mlm masked_lm, clm causal_lm"):
        Mixture((Part(MaskedLM(words)), Part(CausalLM())))
    with pytest.raises(UsageError, match="at least one part, each with a weight above 0"):
        Mixture((Part(CausalLM(), 0.0),))
    with pytest.raises(UsageError, match=r"have one label \(fim, fim\)"):
        Mixture((Part(FillInTheMiddle(words)), Part(FillInTheMiddle(words, rate=1.0))))
    with pytest.raises(UsageError, match="not by 'token'"):
        Mixture((Part(CausalLM()),), by="token")  # type: ignore[arg-type]
    narrow, teacher = build({**GPT, "n_embd": 16}, "causal_lm"), build(GPT, "causal_lm")
    with pytest.raises(UsageError, match="distill trains more than one model"):
        Mixture((Part(Distill(CausalLM(), teacher)),)).check(narrow)
    with pytest.raises(UsageError, match="span-corruption is for an encoder-decoder, and gpt2 is a decoder"):
        Mixture((Part(SpanCorruption(WORDS)),)).check(teacher)
