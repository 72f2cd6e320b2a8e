"""Tokens that a head marks where a batch does not say: as the reference's own default, and as drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from maskfork import load
from maskfork.core.batch import Batch
from maskfork.core.spec import HeadSpec
from maskfork.models.heads.marks import marked

TINY = dict(
    vocab_size=99, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20, max_position_embeddings=66,
    type_vocab_size=1, attention_window=4, pad_token_id=1, sep_token_id=2,
)  # fmt: skip
IDS = torch.tensor([[0, 9, 8, 7, 2, 2, 6, 5, 4, 3, 9, 2], [0, 9, 2, 2, 8, 7, 6, 2, 1, 1, 1, 1]])  # <s> a </s> </s> b </s>


def seen(how: Any) -> list[list[int]]:
    batch = marked(Batch.padded(IDS, (IDS != 1).long()), HeadSpec("classify", marks=how, marks_at=2))
    assert batch.marks is not None
    return [row.nonzero().flatten().tolist() for row in batch.marks]


def test_drawn() -> None:
    assert seen("first") == [[0], [0]]
    assert seen("before") == [[0, 1, 2, 3], [0, 1]]
    assert seen("after") == [[6, 7, 8, 9, 10, 11], [4, 5, 6, 7]]
    nothing = Batch.padded(IDS, marks=torch.zeros_like(IDS))
    assert marked(nothing, HeadSpec("classify", marks="first")) is nothing
    plain = marked(Batch.packed([[7, 8], [9, 9, 9]]), HeadSpec("span", marks="before", marks_at=2))
    assert plain.marks is not None
    assert plain.marks.tolist() == [[True, False, True, False, False]]


@pytest.mark.parametrize("name", ["ForSequenceClassification", "ForQuestionAnswering", "ForMultipleChoice", "Model"])
def test_as_theirs(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs: Any = getattr(transformers, "Longformer" + name)(transformers.LongformerConfig(**TINY)).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.randn_like(p) * 0.2)
    theirs.save_pretrained(tmp_path)
    ours = load(tmp_path)
    ids, mask = (x.view(1, 2, -1) if name == "ForMultipleChoice" else x for x in (IDS, (IDS != 1).long()))
    with torch.no_grad():
        wanted, found = theirs(ids, attention_mask=mask), ours(ids, mask)
    names = {"ForQuestionAnswering": ("start_logits", "end_logits"), "Model": ("last_hidden_state",)}.get(name, ("logits",))
    for one in names:
        a, b = getattr(found, one), getattr(wanted, one)
        if a.shape[:2] == IDS.shape:
            a, b = a[IDS != 1], b[IDS != 1]
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
