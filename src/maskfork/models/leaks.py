"""Whether a model reads what its mask forbids: change one token, and see where the output moves.

    may read (reach)      moved              leak
    1 0 0                 1 0 0              . . .
    1 1 0                 1 1 1     ->       . . x     token 2 was changed and place 1 moved
    1 1 1                 1 1 1              . . .

A place may depend on a token that some chain of layers leads to, so reach is the product of the layers' rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maskfork.core.batch import Batch, bind
from maskfork.core.mask import Mask, Window
from maskfork.core.spec import ExpertsSpec, StackSpec
from maskfork.models.model import Model


@dataclass(frozen=True)
class Leak:
    """Changing token `changed` of row `row` moved the hidden state at (`reader_row`, `reader`) by `moved` at most."""

    row: int
    changed: int
    reader_row: int
    reader: int
    moved: float

    def __str__(self) -> str:
        there = "" if self.reader_row == self.row else f" of row {self.reader_row}"
        return (
            f"token {self.changed} of row {self.row} is read at place {self.reader}{there}, which may not (by {self.moved:.2g})"
        )


def reach(spec: StackSpec, batch: Batch, mask: Mask | None = None) -> Tensor:
    """bool [B, S, S]: may the output at place q (second axis) depend on the token at place k, over all layers?

    `mask` replaces the spec's rules, as in `model(..., mask=...)`.
    """
    rows, width = batch.shape
    step = torch.eye(width, dtype=torch.bool).expand(rows, -1, -1)
    whole = step
    for i, own in enumerate(spec.masks):
        whole = _compose(step | _allowed(own if mask is None else mask, batch, spec.attention.num_heads), whole)
        if i == 0 and spec.conv is not None:  # a convolution of the embeddings is added: it reads its neighbours' tokens
            side = (spec.conv.kernel - 1) // 2
            whole = whole | _allowed(Window(side, side), batch, 1)
    return whole


def _allowed(rule: Mask, batch: Batch, heads: int) -> Tensor:
    rows, width = batch.shape
    return bind(rule, batch, batch).matrix(width, rows=rows, heads=heads).any(1).expand(rows, -1, -1)


def _compose(later: Tensor, earlier: Tensor) -> Tensor:
    return (later.float() @ earlier.float()) > 0


@torch.no_grad()
def find_leaks(
    model: Model,
    batch: Batch,
    *,
    mask: Mask | None = None,
    kernel: str = "auto",
    source: Batch | None = None,
    promised: Mask | None = None,
    documents: Batch | None = None,
) -> list[Leak]:
    """Every (changed token, place) where the main stack's hidden state moves although it may not; none for a sound model.

    `mask` and `kernel` are what the model is run with; `source` is an encoder-decoder's input. What may be read follows
    from `promised` (by default `mask`, or the spec's rules) over `documents` (by default `batch`): give them to hold a run
    against another promise, for instance a packed batch without segments against the documents that it is made of.
    Costs a forward pass a token. Padding is changed too, and must move nothing.
    """
    documents = batch if documents is None else documents
    may = reach(model.spec.main, documents, mask if promised is None else promised)
    rows, width = batch.shape
    training = model.training
    model.eval()
    before = _hidden(model, batch, source, mask, kernel)
    slack = _slack(model.spec.main) * float(before.abs().max())
    leaks = []
    for row in range(rows):
        for at in range(width):
            tokens = batch.tokens.clone()
            tokens[row, at] = (tokens[row, at] + max(1, model.spec.vocab_size // 2)) % model.spec.vocab_size
            moved = (_hidden(model, replace(batch, tokens=tokens), source, mask, kernel) - before).abs().amax(-1)
            allowed = torch.zeros(rows, width, dtype=torch.bool)
            allowed[row] = may[row, :, at]
            for reader_row, reader in ((moved > slack) & ~allowed & _there(documents)).nonzero().tolist():
                leaks.append(Leak(row, at, reader_row, reader, float(moved[reader_row, reader])))
    model.train(training)
    return leaks


def _slack(spec: StackSpec) -> float:
    """Nothing may move at all, except that an expert is run on all tokens that chose it: how many they are shows in the last
    bits of a product of matrices.
    """
    return 1e-5 if any(isinstance(spec.feed_forward_of(i), ExpertsSpec) for i in range(spec.depth)) else 0.0


def _hidden(model: Model, batch: Batch, source: Batch | None, mask: Mask | None, kernel: str) -> Tensor:
    if model.spec.fork == "encoder-decoder":
        return model(source, decoder_input_ids=batch, mask=mask, kernel=kernel).last_hidden_state  # type: ignore[no-any-return]
    return model(batch, mask=mask, kernel=kernel).last_hidden_state  # type: ignore[no-any-return]


def _there(batch: Batch) -> Tensor:
    """bool [B, S]: tokens that are no padding."""
    there = torch.ones(batch.shape, dtype=torch.bool) if batch.keep is None else batch.keep
    return there if batch.segments is None else there & (batch.segments >= 0)
