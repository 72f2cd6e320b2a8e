"""Contrastive losses: by loops over rows, and number for number sentence-transformers' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import Targets
from maskfork.learn.objectives.contrastive import Contrastive
from maskfork.models.hub import build
from maskfork.models.sentence.encoder import SentenceEncoder
from tests.learn.tiny import make

TINY = dict(
    model_type="bert", vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37,
    max_position_embeddings=64,
)  # fmt: skip


def vectors(rows: int = 6, columns: int = 3, width: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, width, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def ranking_by_loops(x: torch.Tensor, scale: float, belong: tuple[tuple[int, int, int], ...] = ()) -> float:
    """`belong`: (row i, row j, text k) that is no negative for the anchor of row i."""
    total = 0.0
    for i in range(len(x)):
        asked = [(j, k) for j in range(len(x)) for k in range(1, x.shape[1]) if (i, j, k) not in belong]
        scores = {(j, k): scale * cosine(x[i, 0], x[j, k]) for j, k in asked}
        total += np.log(sum(np.exp(s) for s in scores.values())) - scores[i, 1]
    return total / len(x)


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_ranking_by_loops(columns: int) -> None:
    x = vectors(columns=columns).detach()
    assert float(Contrastive(columns).of(x).total) == pytest.approx(ranking_by_loops(x, 20.0), rel=1e-4)
    swapped = torch.stack([x[:, 1], x[:, 0]], dim=1)
    both = (ranking_by_loops(x, 5.0) + ranking_by_loops(swapped, 5.0)) / 2
    assert float(Contrastive(columns, (("symmetric", 1.0),), scale=5.0).of(x).total) == pytest.approx(both, rel=1e-4)


def test_what_belongs_to_an_anchor_by_another_row_is_no_negative_for_it() -> None:
    x = vectors(columns=3).detach()
    n = len(x)
    belongs = torch.zeros(n, 2 * n, dtype=torch.bool)
    belongs[0, 2] = belongs[1, n] = True  # the positive of row 2 for the anchor of row 0, the negative of row 0 for that of row 1
    own = Contrastive(3).of(x, belongs).total
    assert float(own) == pytest.approx(ranking_by_loops(x, 20.0, ((0, 2, 1), (1, 0, 2))), rel=1e-4)
    back = Contrastive(3, (("symmetric", 2.0),)).of(x, belongs).total - own
    swapped = torch.stack([x[:, 1], x[:, 0]], dim=1)
    assert float(back) == pytest.approx(ranking_by_loops(swapped, 20.0, ((2, 0, 1),)), rel=1e-4)


def test_several_losses_and_widths_are_summed_by_their_weights() -> None:
    x = vectors().detach()
    many = Contrastive(3, (("ranking", 1.0), ("triplet", 0.5)), dims=(16, 4), dim_weights=(1.0, 0.25)).of(x)
    assert list(many.parts) == ["ranking 16", "triplet 16", "ranking 4", "triplet 4"]
    wanted = sum(
        factor * weight * many.parts[f"{name} {n}"]
        for n, factor in ((16, 1.0), (4, 0.25)) for name, weight in (("ranking", 1.0), ("triplet", 0.5))
    )  # fmt: skip
    assert float(many.total) == pytest.approx(wanted, rel=1e-5)
    assert many.parts["ranking 4"] == pytest.approx(ranking_by_loops(x[..., :4], 20.0), rel=1e-4)


@pytest.mark.slow
def test_numbers_and_gradients_are_sentence_transformers() -> None:
    from sentence_transformers.sentence_transformer import losses as theirs

    class Given(nn.Module):
        """Stands for a model whose vectors are known."""

        def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {"sentence_embedding": features["given"]}

        def get_embedding_dimension(self) -> int:
            return 16

    def compare(mine: Contrastive, peer: Any, columns: int) -> None:
        x, y = vectors(columns=columns), vectors(columns=columns)
        ours = mine.of(x).total
        wanted = peer([{"given": y[:, k]} for k in range(columns)], torch.zeros(6))
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)
        for value in (ours, wanted):
            value.backward()
        torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-6)

    given: Any = Given()
    for columns in (2, 3, 5):
        compare(Contrastive(columns), theirs.MultipleNegativesRankingLoss(given), columns)
        compare(Contrastive(columns, scale=7.0), theirs.MultipleNegativesRankingLoss(given, scale=7.0), columns)
    symmetric = theirs.MultipleNegativesSymmetricRankingLoss(given)
    compare(Contrastive(2, (("symmetric", 1.0),)), symmetric, 2)
    compare(Contrastive(3, (("triplet", 1.0),)), theirs.TripletLoss(given), 3)
    compare(Contrastive(3, (("triplet", 1.0),), margin=1.0), theirs.TripletLoss(given, triplet_margin=1.0), 3)
    nested = theirs.MatryoshkaLoss(given, theirs.MultipleNegativesRankingLoss(given), [16, 8, 4], [1.0, 0.5, 0.25])
    compare(Contrastive(3, dims=(16, 8, 4), dim_weights=(1.0, 0.5, 0.25)), nested, 3)
    nested = theirs.MatryoshkaLoss(given, symmetric, [16, 2])
    compare(Contrastive(2, (("symmetric", 1.0),), dims=(16, 2)), nested, 2)


def test_texts_are_read_row_by_row() -> None:
    """Padded, packed, and through a SentenceEncoder: the same vectors, each text's its own."""
    model = make("bert", "masked_lm")
    lists = [[2, *range(5, 5 + n), 3] for n in (3, 9, 1, 4, 6, 2)]
    objective, rng = Contrastive(3), np.random.default_rng(0)
    objective.check(model)
    packed, padded = (objective(b, rng) for b in (Batch.packed(lists), Batch.from_lists(lists, 0)))
    assert isinstance(packed.targets, Targets)
    assert packed.targets.pairs.tolist() == [0, 1]
    with torch.no_grad():
        found = objective.vectors(model, packed.batch)  # type: ignore[arg-type]
        torch.testing.assert_close(found, objective.vectors(model, padded.batch))  # type: ignore[arg-type]
        torch.testing.assert_close(found, objective.vectors(SentenceEncoder(model).eval(), packed.batch))  # type: ignore[arg-type]
        alone = model(torch.tensor([lists[4]])).last_hidden_state[0]
        torch.testing.assert_close(found[1, 1], alone.mean(0))
        first = Contrastive(3, pooling="first").vectors(model, packed.batch)  # type: ignore[arg-type]
        torch.testing.assert_close(first[1, 1], alone[0])
        torch.testing.assert_close(objective.loss(model, packed).total, objective.of(found).total)


def test_a_text_twice_differs_by_dropout() -> None:
    model = build(TINY, "masked_lm").train()
    lists = [[2, 5, 6, 7, 3], [2, 8, 3]]
    for batch in (Batch.packed(lists), Batch.from_lists(lists, 0)):
        sample = Contrastive(1)(batch, np.random.default_rng(0))
        assert isinstance(sample.batch, Batch)
        rows = [sample.batch.tokens[r, s : s + n].tolist() for r, s, n in sample.batch.sequences]
        assert rows == [lists[0], lists[0], lists[1], lists[1]]
        one, two = Contrastive(1).vectors(model, sample.batch).unbind(1)
        assert not torch.equal(one, two)
        assert torch.equal(*Contrastive(1).vectors(model.eval(), sample.batch).unbind(1))
        model.train()


def test_no_text_reads_another() -> None:
    model = make("bert", "masked_lm")
    lists = [[2, *range(5, 5 + n), 3] for n in (3, 9, 1, 4)]
    objective = Contrastive()
    with torch.no_grad():
        before = objective.vectors(model, Batch.packed(lists))
        lists[1] = [2, 50, 51, 3]
        after = objective.vectors(model, Batch.packed(lists))
    moved = (before - after).abs().amax(-1) > 1e-5
    assert moved.tolist() == [[False, True], [False, False]]


def test_wrong_questions() -> None:
    with pytest.raises(UsageError, match="'hinge' is not a contrastive loss: take ranking, symmetric, triplet"):
        Contrastive(2, (("hinge", 1.0),))
    with pytest.raises(UsageError, match="give columns=3 or more"):
        Contrastive(2, (("triplet", 1.0),))
    with pytest.raises(UsageError, match="3 texts are no whole number of rows with 2 columns"):
        Contrastive()(Batch.packed([[1], [2], [3]]), np.random.default_rng(0))
    with pytest.raises(UsageError, match="the vectors have 16 numbers"):
        Contrastive(3, dims=(32,)).of(vectors())
    with pytest.raises(UsageError, match="2 dims from 1 on have as many weights or none, not 1"):
        Contrastive(3, dims=(8, 4), dim_weights=(1.0,))
    t5 = build(dict(model_type="t5", vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2), "causal_lm")
    with pytest.raises(UsageError, match="t5 is an encoder-decoder: load its encoder"):
        Contrastive().check(t5)
