"""Distillation: each loss against its formula, DistilBERT's start, and that a student comes closer to its teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from maskfork import load
from maskfork.core.batch import Batch
from maskfork.errors import ModelError, UsageError
from maskfork.learn.objectives import distill
from maskfork.learn.objectives.clm import CausalLM
from maskfork.learn.objectives.contract import IGNORE_INDEX
from maskfork.learn.objectives.distill import Distill, Student
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.nsp import NextSentence
from maskfork.learn.objectives.start import every_other, start_from
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import build
from maskfork.models.model import Model

WORDS = Vocabulary(99, frozenset(range(5)), mask=4, pad=0, cls=2, sep=3)
TINY: dict[str, Any] = dict(
    model_type="bert", vocab_size=99, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=37,
    max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)  # fmt: skip
MLM = MaskedLM(WORDS)
NONE = dict(logits=0.0, labels=0.0, cosine=0.0)


def loud(model: Model, seed: int = 0) -> Model:
    """Weights large enough that models differ."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0.0, 0.2, generator=generator)
    return model


def batches() -> tuple[Batch, Batch]:
    rng = np.random.default_rng(0)
    lists = [[2, *rng.integers(5, 99, n).tolist(), 3] for n in (20, 5, 11)]
    return Batch.packed(lists), Batch.from_lists(lists, 0)


def kept(batch: Batch) -> torch.Tensor:
    return torch.ones(batch.shape, dtype=torch.bool) if batch.keep is None else batch.keep


@pytest.mark.parametrize("places", ["all", "chosen"])
def test_distilberts_three_losses(places: Any) -> None:
    """The library's own functions on the full logits; packed and padded alike, in rounds of a few rows."""
    teacher, student = loud(build(TINY, "masked_lm"), 1), loud(build({**TINY, "num_hidden_layers": 2}, "masked_lm"), 2)
    objective = Distill(MLM, teacher, places=places)
    for batch in batches():
        sample = objective(batch, np.random.default_rng(0))
        assert isinstance(sample.targets, torch.Tensor)
        loss = objective.loss(student, sample)
        with torch.no_grad():
            mine, theirs = student(sample.batch), teacher(sample.batch)
        at = kept(batch) if places == "all" else sample.targets != IGNORE_INDEX
        soft = F.kl_div((mine.logits[at] / 2).log_softmax(-1), (theirs.logits[at] / 2).softmax(-1), reduction="batchmean") * 4
        hard = F.cross_entropy(mine.logits.flatten(0, 1), sample.targets.flatten())
        states = (x.last_hidden_state[kept(batch)] for x in (mine, theirs))
        alike = F.cosine_embedding_loss(*states, torch.ones(int(kept(batch).sum())))
        assert loss.parts == pytest.approx({"logits": float(soft), "labels": float(hard), "cosine": float(alike)}, rel=1e-4)
        torch.testing.assert_close(loss.total, 5 * soft + 2 * hard + alike)


def test_rounds_give_the_same_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, student = loud(build(TINY, "masked_lm"), 1), loud(build(TINY, "masked_lm"), 2)
    objective = Distill(MLM, teacher, labels=0.0, cosine=0.0)
    sample = objective(batches()[0], np.random.default_rng(0))
    found = []
    for size in (2**26, 4 * 99 * 3):
        monkeypatch.setattr(distill, "ROUND_BYTES", size)
        student.zero_grad()
        objective.loss(student, sample).total.backward()  # type: ignore[no-untyped-call]
        found.append(student.body.tokens.weight.grad.clone())  # type: ignore[union-attr]
    torch.testing.assert_close(found[0], found[1])
    assert teacher.body.tokens.weight.grad is None


def test_a_teacher_teaches_itself_nothing() -> None:
    """Every loss but the labels' is nought between a model and itself."""
    teacher = loud(build(TINY, "masked_lm"))
    for kind in ("relations", "scores"):
        objective = Distill(MLM, teacher, labels=0.0, hidden=1.0, attention=1.0, kind=kind)  # type: ignore[arg-type]
        for batch in batches():
            parts = objective.loss(teacher, objective(batch, np.random.default_rng(0))).parts
            assert set(parts) == {"logits", "cosine", "hidden", "attention"}
            assert max(parts.values()) < 1e-5


def test_states_through_a_projection() -> None:
    """A narrower student; its layers 1 and 2 learn from the teacher's 2 and 4, and the embeddings from the embeddings."""
    teacher = loud(build(TINY, "masked_lm"), 1)
    narrow = loud(build({**TINY, "hidden_size": 16, "num_hidden_layers": 2}, "masked_lm"), 2)
    objective = Distill(MLM, teacher, **NONE, hidden=1.0)
    pupil = objective.trained(narrow)
    assert isinstance(pupil, Student)
    assert objective.trained(teacher) is teacher
    sample = objective(batches()[0], np.random.default_rng(0))
    loss = objective.loss(pupil, sample)

    def states(model: Model) -> list[torch.Tensor]:
        stack = model.body.encoder
        assert stack is not None
        found: list[torch.Tensor] = []
        for module in (stack.embed, *stack.layers):
            module.register_forward_hook(lambda m, a, out: found.append(out))
        model(sample.batch)
        return found

    mine, theirs = states(narrow), states(teacher)
    wanted = [F.mse_loss(pupil.project(mine[a]), theirs[b]) for a, b in ((0, 0), (1, 2), (2, 4))]
    torch.testing.assert_close(loss.total, torch.stack(wanted).mean())
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert float(pupil.project.weight.grad.abs().max()) > 0  # type: ignore[union-attr]
    first = Distill(MLM, teacher, **NONE, hidden=1.0, layers=(1, 4)).loss(pupil, sample)
    wanted[1] = F.mse_loss(pupil.project(mine[1]), theirs[1])
    torch.testing.assert_close(first.total, torch.stack(wanted).mean())


def test_scores_are_the_attention_before_the_softmax() -> None:
    teacher, student = loud(build(TINY, "masked_lm"), 1), loud(build({**TINY, "num_hidden_layers": 2}, "masked_lm"), 2)
    objective = Distill(MLM, teacher, **NONE, attention=1.0, kind="scores")
    lists = [[2, 10, 11, 12, 13, 3]]
    sample = objective(Batch.from_lists(lists, 0), np.random.default_rng(0))
    parts = objective.loss(student, sample).parts
    maps = [m(sample.batch, output_attentions=True).attentions for m in (student, teacher)]
    # The weights' logarithms are the scores up to a number a row.
    errors = []
    for a, b in ((0, 1), (1, 3)):
        with distill.watched(student) as mine, distill.watched(teacher) as theirs, torch.no_grad():
            student(sample.batch), teacher(sample.batch)
        scores = [torch.einsum("bqhd,bkhd->bhqk", *s.heads[n][:2]) / 8**0.5 for s, n in ((mine, a), (theirs, b))]
        for one, weights in zip(scores, (maps[0][a], maps[1][b]), strict=True):
            torch.testing.assert_close(one.softmax(-1), weights)
        errors.append(F.mse_loss(*scores))
    assert parts["attention"] == pytest.approx(float(torch.stack(errors).mean()), rel=1e-4)


def test_relations_by_hand_packed_and_padded() -> None:
    """Text by text with as many relation heads as asked, for students of another width and another number of heads."""
    teacher = loud(build(TINY, "masked_lm"), 1)
    student = loud(build({**TINY, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}, "masked_lm"), 2)
    objective = Distill(MLM, teacher, **NONE, attention=1.0, relation_heads=8)
    found = []
    for batch in batches():
        sample = objective(batch, np.random.default_rng(0))
        found.append(objective.loss(student, sample).parts["attention"])
        with distill.watched(student) as mine, distill.watched(teacher) as theirs, torch.no_grad():
            student(sample.batch), teacher(sample.batch)
        total, tokens = 0.0, 0
        for row, start, n in batch.sequences:
            tokens += n
            for own, known in zip(mine.heads[-1], theirs.heads[-1], strict=True):
                logs = []
                for x in (own, known):
                    parts = x[row, start : start + n].reshape(n, 8, -1).transpose(0, 1)
                    logs.append((parts @ parts.transpose(1, 2) / parts.shape[-1] ** 0.5).log_softmax(-1))
                total += float((logs[1].exp() * (logs[1] - logs[0])).sum())
        assert found[-1] == pytest.approx(total / (3 * 8 * tokens), rel=1e-4)


def test_relations_of_a_decoder_see_no_future() -> None:
    config = dict(model_type="gpt2", vocab_size=99, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    teacher, student = loud(build(config, "causal_lm"), 1), loud(build(config, "causal_lm"), 2)
    objective = Distill(CausalLM(), teacher, **NONE, attention=1.0)
    assert (objective.needs, objective.head) == ("decoder", "causal_lm")
    one = Batch.packed([[5, 6, 7, 8]])
    with distill.watched(student) as mine, distill.watched(teacher) as theirs, torch.no_grad():
        student(one), teacher(one)
    total = 0.0
    for own, known in zip(mine.heads[-1], theirs.heads[-1], strict=True):
        for i in range(4):
            logs = [torch.einsum("hd,khd->hk", x[0, i], x[0, : i + 1]).div(8**0.5).log_softmax(-1) for x in (own, known)]
            total += float((logs[1].exp() * (logs[1] - logs[0])).sum())
    found = objective.loss(student, objective(one, np.random.default_rng(0))).parts["attention"]
    assert found == pytest.approx(total / (3 * 4 * 4), rel=1e-4)


def test_every_other_layer() -> None:
    assert every_other(12) == [0, 2, 4, 7, 9, 11]  # DistilBERT's own
    assert [every_other(n) for n in (1, 2, 3, 4, 6)] == [[0], [0], [0, 2], [0, 3], [0, 2, 5]]
    teacher = loud(build(TINY, "masked_lm"))
    student = start_from(teacher)
    for mine, theirs in ((0, 0), (1, 3)):
        ours, known = (m.body.encoder.layers[i].state_dict() for m, i in ((student, mine), (teacher, theirs)))  # type: ignore[union-attr]
        assert all(torch.equal(ours[name], known[name]) for name in known)
    assert torch.equal(student.body.tokens.weight, teacher.body.tokens.weight)
    assert student.spec.main.depth == 2


@pytest.mark.parametrize("family", [None, "distilbert"])
def test_with_all_layers_the_student_is_the_teacher(family: str | None, tmp_path: Path) -> None:
    teacher = loud(build(TINY, "masked_lm"))
    student = start_from(teacher, range(4), family=family)
    ids = torch.tensor([[2, 10, 11, 12, 3]])
    with torch.no_grad():
        wanted = teacher(ids).logits
        torch.testing.assert_close(student(ids).logits, wanted)
        torch.testing.assert_close(load(student.save(tmp_path / "student"))(ids).logits, wanted)
    assert student.spec.family == (family or "bert")


@pytest.mark.slow
def test_a_student_comes_closer_to_its_teacher() -> None:
    teacher = loud(build(TINY, "masked_lm"))
    student = start_from(teacher, family="distilbert").train()
    objective, rng = Distill(MLM, teacher), np.random.default_rng(0)
    optimiser = torch.optim.AdamW(student.parameters(), 1e-3)
    found = []
    for _ in range(150):
        loss = objective.loss(student, objective(Batch.packed(rng.integers(5, 99, (8, 30)).tolist()), rng))
        optimiser.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        found.append(loss.parts["logits"])
    assert np.mean(found[-10:]) < 0.6 * np.mean(found[:10])


def test_wrong_questions() -> None:
    teacher = build(TINY, "masked_lm")
    sample = MLM(batches()[0], np.random.default_rng(0))
    with pytest.raises(UsageError, match="weights of distillation are 0 or more"):
        Distill(MLM, teacher, **NONE)
    with pytest.raises(UsageError, match="mlm needs the head masked_lm, and this model has pair"):
        Distill(MLM, build(TINY, "pair"))
    with pytest.raises(UsageError, match="nsp is answered by the head pair"):
        Distill(NextSentence(WORDS), build(TINY, "pair"))
    with pytest.raises(UsageError, match="the student has 120 tokens and its teacher 99"):
        Distill(MLM, teacher).loss(build({**TINY, "vocab_size": 120}, "masked_lm"), sample)
    with pytest.raises(UsageError, match=r"train objective\.trained\(student\)"):
        Distill(MLM, teacher).loss(build({**TINY, "hidden_size": 16}, "masked_lm"), sample)
    with pytest.raises(UsageError, match="the student has 2 heads and its teacher 4: take kind='relations'"):
        Distill(MLM, teacher, attention=1.0, kind="scores").check(build({**TINY, "num_attention_heads": 2}, "masked_lm"))
    with pytest.raises(UsageError, match="layers 1 to 4 for each of the student's 4"):
        Distill(MLM, teacher, layers=(1, 2)).check(teacher)
    with pytest.raises(UsageError, match="5 relation heads do not divide a width of 32"):
        Distill(MLM, teacher, attention=1.0, relation_heads=5).loss(teacher, sample)
    with pytest.raises(UsageError, match=r"has the layers 0 to 3, and the student is to have \[4\]"):
        start_from(teacher, [4])
    with pytest.raises(UsageError, match="a gpt2 cannot be made of a bert"):
        start_from(teacher, family="gpt2")
    t5 = build(dict(model_type="t5", vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2), "causal_lm")
    with pytest.raises(ModelError, match="layers of several kinds"):
        start_from(t5)
