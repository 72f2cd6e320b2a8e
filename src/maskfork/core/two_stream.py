"""XLNet's two streams (Yang et al. 2019, section 2.3): predict a token from where it stands and from what comes before it in
an order, without seeing it.

    order 2 0 1 3         content h: a token and all that come earlier    query g: its place and all that come earlier
    the cat sat here      cat <- cat                                      cat <- (nothing: zeros)
                          sat <- cat sat                                  sat <- cat
                          the <- cat sat the                              the <- cat sat

Both go through the same blocks; g starts from one learned vector and reads the keys and values of h. It is computed where a
token is to be predicted only.

Legend: B batch, S sequence, M targets, E hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.mask import Permutation
from maskfork.core.transformer import Block, Pass, Stack
from maskfork.errors import ModelError, UsageError


@dataclass
class Streams:
    """`content` [B, S, E], `query` [B, M, E]; attention weights [B, H, S, S] and [B, H, M, S] a layer, where asked for."""

    content: Tensor
    query: Tensor
    content_weights: tuple[Tensor, ...] | None = None
    query_weights: tuple[Tensor, ...] | None = None


def two_streams(
    stack: Stack, batch: Batch, order: Tensor, targets: Tensor, *, kernel: str = "auto", want_weights: bool = False
) -> Streams:
    """Run both streams of a stack (`model.body.encoder`).

    `order` [S] or [B, S] (packed: [N, longest]) gives each place its turn; tokens of one turn see each other. `targets` [B, M]
    are the storage indices, in their row, of the tokens to predict. A target with nothing before it reads nothing: zeros, where
    the original reads the mean of all. Raises ModelError where the stack has no vector for a query stream to start from or has
    parts that no two-stream model was trained with.
    """
    spec = stack.spec
    if stack.embed.query is None or "in" in spec.norm_at or spec.parallel or spec.cross or spec.conv or spec.attention.marked:
        raise ModelError("this model was not trained with two streams, which XLNet alone was: run it as it is")
    if targets.dim() != 2 or targets.shape[0] != batch.shape[0]:
        raise UsageError(f"targets must be [rows, places to predict], but their shape is {list(targets.shape)}")
    run = Pass(batch, batch, kernel=kernel, want_weights=want_weights)
    asked = chosen(batch, targets)
    asking = replace(run, batch=asked)
    seen, unseen = Permutation(order), Permutation(order, itself=False)
    x_BSE = stack.embed(batch, list(stack.positions))
    g_BME = stack.embed.drop(stack.embed.query.expand(*targets.shape, -1))
    content_weights: list[Tensor] = []
    query_weights: list[Tensor] = []
    for i, number in enumerate(stack.blocks):
        run.layer = i
        block: Block = stack.layers[number]  # type: ignore[assignment]
        attention = block.attention
        q, k, v = attention.heads(x_BSE, run)
        content, weights = attention.read(run.plan(attention, seen, cross=False), q, k, v, run)
        q, _, _ = attention.heads(g_BME, asking)
        query, own = attention.read(run.plan(attention, unseen, cross=False, queries=asked), q, k, v, run)
        x_BSE, g_BME = (_finish(block, x, y, run) for x, y in ((x_BSE, content), (g_BME, query)))
        if weights is not None and own is not None:
            content_weights.append(weights)
            query_weights.append(own)
    content, query = (stack.drop(stack.norm(x)) for x in (x_BSE, g_BME))
    return Streams(content, query, *((tuple(content_weights), tuple(query_weights)) if want_weights else (None, None)))


def _finish(block: Block, x: Tensor, read: Tensor, run: Pass) -> Tensor:
    """The rest of a block whose norms stand on the sums, from what its heads read on."""
    x = block.attention_residual.add(x, block.attention.out(read.flatten(-2)))
    return block.feed_forward_residual.add(x, block.feed_forward(x, run.routed))


def chosen(batch: Batch, targets_BM: Tensor) -> Batch:
    """The tokens of a batch at these storage indices of their rows, as a batch of queries."""
    rows = batch.shape[0]

    def take(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.expand(rows, -1).gather(1, targets_BM)

    tokens, places = batch.tokens.gather(1, targets_BM), batch.positions.expand(rows, -1).gather(1, targets_BM)
    return Batch(tokens, places, None, take(batch.types), take(batch.segments))
