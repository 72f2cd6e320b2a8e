"""What an objective makes of a text, in rows under each other: what a model reads, what it should answer, who sees whom.

reads    [CLS] the movie [MASK] dark [SEP]
answers                  was
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich.cells import cell_len
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.mask import Causal, Full, Mask, Permutation
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX, Mixed, Objective, Sample, Seeded, SourceTarget, Targets, TwoStreams
from maskfork.learn.objectives.contrastive import Contrastive
from maskfork.learn.objectives.fim import FillInTheMiddle
from maskfork.learn.objectives.mixture import Mixture
from maskfork.learn.objectives.pairs import Pairs
from maskfork.learn.objectives.rtd import ReplacedTokens
from maskfork.learn.objectives.sentences import FullSentences
from maskfork.models.tokenizers import Tokenizer
from maskfork.view.lettering import pad
from maskfork.view.maskdraw import mask_text

DRAWN = 16  # tokens up to which a mask is drawn
FORK = "the encoder's tokens read each other; a decoder's token reads all of them, itself and what the decoder wrote before"
LEFT = "this text is left in its order, as a share of 1 - rate are: another seed, or rate=1, tells it anew"


@dataclass(frozen=True)
class Row:
    """A named line of one cell a token; None is an empty one. `apart`: its tokens are others than those of the row above."""

    name: str
    cells: list[str | None]
    apart: bool = False


@dataclass(frozen=True, eq=False)
class Drawing:
    """A rule over the tokens of one text: bool [Q, K]."""

    title: str
    rule: str
    queries: list[str]
    keys: list[str]
    allowed: np.ndarray


@dataclass(frozen=True, eq=False)
class Block:
    """One sequence: its rows, what is said of the whole of it, and its masks."""

    rows: list[Row]
    title: str = ""
    notes: list[str] = field(default_factory=list)
    masks: list[Drawing] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Shown:
    """An objective's samples of some texts."""

    objective: str
    blocks: list[Block]
    notes: list[str] = field(default_factory=list)
    width: int = 100

    def __str__(self) -> str:
        return "\n\n".join([*(_block_text(block, self.width) for block in self.blocks), *self.notes])

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"objective": self.objective, "sequences": [_plain(block) for block in self.blocks], "notes": self.notes}


def read_texts(texts: Sequence[str], tokenizer: Tokenizer) -> Batch:
    """The texts packed, each with its tokenizer's special tokens and the numbers of its words."""
    found = [tokenizer.inner.encode(text) for text in texts]
    if not any(one.ids for one in found):
        raise UsageError("there is nothing to show: give a text of at least one word")
    batch = Batch.packed([one.ids for one in found if one.ids])
    words = [-1 if word is None else word for one in found for word in one.word_ids]
    return Batch(batch.tokens, batch.positions, None, None, batch.segments, None, torch.tensor([words]))


def show(
    objective: Objective, texts: Sequence[str], tokenizer: Tokenizer, rng: np.random.Generator, *, width: int = 100
) -> Shown:
    """What the objective makes of these texts; each is a document of its own. Raises what the objective raises."""
    sample = objective(read_texts(texts, tokenizer), rng)
    notes = [FORK] if objective.needs == "encoder-decoder" else []
    return Shown(objective.name, list(_blocks(objective, sample, tokenizer, rng)), notes, width)


def _blocks(objective: Objective, sample: Sample, tokenizer: Tokenizer, rng: np.random.Generator) -> Iterator[Block]:
    inner = objective.inner if isinstance(objective, FullSentences) else objective
    match sample.batch:
        case Mixed(parts):
            assert isinstance(objective, Mixture)
            for number, part in parts:
                for block in _blocks(objective.parts[number].objective, part, tokenizer, rng):
                    yield Block(block.rows, objective.labels[number], block.notes, block.masks)
        case SourceTarget():
            yield from _translated(sample.batch, _tokens(sample), tokenizer)
        case TwoStreams():
            yield from _permuted(sample.batch, _tokens(sample), tokenizer)
        case Seeded() if isinstance(inner, ReplacedTokens):
            yield from _replaced(inner, sample.batch, _tokens(sample), tokenizer, rng)
        case Batch() if isinstance(inner, Contrastive):
            yield _contrasted(inner, sample.batch, tokenizer)
        case Batch():
            yield from _plainly(inner, sample, tokenizer)


def _plainly(objective: Objective, sample: Sample, tokenizer: Tokenizer) -> Iterator[Block]:
    batch = sample.batch
    assert isinstance(batch, Batch)
    asked = _tokens(sample)
    rule = sample.mask if sample.mask is not None else Full() if objective.needs == "encoder" else Causal()
    for number, (row, start, n) in enumerate(batch.sequences):
        cut = (row, slice(start, start + n))
        rows = [Row("reads", _names(batch.tokens[cut], tokenizer))]
        notes = []
        if isinstance(sample.targets, Targets) and isinstance(objective, Pairs):
            label = int(sample.targets.pairs[number])
            notes.append(f"the pair: {label}, {objective.labels[label]}")
        if batch.types is not None:
            rows.append(Row("types", [str(t) for t in batch.types[cut].tolist()]))
        if bool((asked[cut] != IGNORE_INDEX).any()):
            rows.append(Row("answers", _answers(asked[cut], tokenizer)))
        fill = objective.vocabulary.fill if isinstance(objective, FillInTheMiddle) else None
        if fill is not None and fill[2] not in batch.tokens[cut].tolist():
            notes.append(LEFT)
        yield Block(rows, notes=notes, masks=_drawn(rule, batch, row, start, rows[0]))


def _translated(pair: SourceTarget, asked: Tensor, tokenizer: Tokenizer) -> Iterator[Block]:
    for (a, s, n), (b, t, m) in zip(pair.source.sequences, pair.target.sequences, strict=True):
        yield Block([
            Row("encoder reads", _names(pair.source.tokens[a, s : s + n], tokenizer)),
            Row("decoder reads", _names(pair.target.tokens[b, t : t + m], tokenizer), apart=True),
            Row("answers", _answers(asked[b, t : t + m], tokenizer)),
        ])  # fmt: skip


def _permuted(streams: TwoStreams, asked: Tensor, tokenizer: Tokenizer) -> Iterator[Block]:
    for number, (row, start, n) in enumerate(streams.batch.sequences):
        cut = (row, slice(start, start + n))
        turns = streams.order[number, :n]
        reads = Row("reads", _names(streams.batch.tokens[cut], tokenizer))
        rows = [
            reads,
            Row("turn", [str(turn) for turn in turns.tolist()]),
            Row("answers", _answers(asked[cut], tokenizer)),
        ]
        masks = []
        if n <= DRAWN:
            names = _labels(reads)
            targets = (turns > 0).nonzero().squeeze(-1)
            whole, query = (Permutation(turns, itself).matrix(n)[0, 0] for itself in (True, False))
            masks.append(
                Drawing("content stream: a token reads itself and all that comes earlier", "", names, names, whole.numpy())
            )
            asking = [names[i] for i in targets.tolist()]
            masks.append(Drawing("query stream: what each target is said from", "", asking, names, query[targets].numpy()))
        yield Block(rows, masks=masks)


def _replaced(
    objective: ReplacedTokens, seeded: Seeded, asked: Tensor, tokenizer: Tokenizer, rng: np.random.Generator
) -> Iterator[Block]:
    """Without a generator: half of its words are right, the others any."""
    batch, chosen = seeded.batch, asked != IGNORE_INDEX
    right = asked[chosen]
    other = torch.from_numpy(rng.choice(objective.vocabulary.ordinary, size=len(right)))
    words = torch.where(torch.from_numpy(rng.random(len(right)) < 0.5), right, other)
    written, replaced = objective.replace(batch, asked, words)
    for row, start, n in batch.sequences:
        cut = (row, slice(start, start + n))
        said = ["replaced" if is_so else "." for is_so in replaced[cut].tolist()]
        yield Block([
            Row("generator reads", _names(batch.tokens[cut], tokenizer)),
            Row("answers", _answers(asked[cut], tokenizer)),
            Row("discriminator reads", _names(written.tokens[cut], tokenizer)),
            Row("answers", list(said)),
        ], notes=["no generator is here: half of its words are the right ones, the others any of the vocabulary"])  # fmt: skip


def _contrasted(objective: Contrastive, batch: Batch, tokenizer: Tokenizer) -> Block:
    columns = max(2, objective.columns)
    texts = [" ".join(_labels(Row("", _names(batch.tokens[r, s : s + n], tokenizer)))) for r, s, n in batch.sequences]
    anchors, rest = texts[::columns], [texts[i] for k in range(1, columns) for i in range(k, len(texts), columns)]
    names = [f"{'p' if i < len(anchors) else 'n'}{i % len(anchors)}" for i in range(len(rest))]
    rows = [f"a{i}" for i in range(len(anchors))]
    notes = [f"{name}  {text}" for name, text in zip([*rows, *names], [*anchors, *rest], strict=True)]
    right = np.eye(len(anchors), len(rest), dtype=bool)
    drawing = Drawing("each anchor (a row) should find its positive among all candidates of the batch", "", rows, names, right)
    return Block([], notes=notes, masks=[drawing])


def _drawn(rule: Mask, batch: Batch, row: int, start: int, reads: Row) -> list[Drawing]:
    """The rule over one sequence, where it is small enough and says more than that all is seen."""
    names = _labels(reads)
    if rule == Full():
        return []
    whole = batch.bind(rule).matrix(batch.shape[1], rows=batch.shape[0])
    part = slice(start, start + len(names))
    allowed = whole[row if whole.shape[0] > 1 else 0, 0, part, part].numpy()
    if len(names) > DRAWN:
        return []
    seen = int(allowed[0].sum())  # what a prefix sees of itself
    told = "every token reads itself and what comes before it"
    if seen > 1:
        told += f"; the first {seen} read each other in full"
    return [Drawing(told, repr(rule), names, names, allowed)]


def _tokens(sample: Sample) -> Tensor:
    return sample.targets.tokens if isinstance(sample.targets, Targets) else sample.targets


def _names(ids: Tensor, tokenizer: Tokenizer) -> list[str | None]:
    """Tokens as they are written, a space inside them as the one sign that tokenizers use for it."""
    return [tokenizer.token(i).replace("\u0120", "\u2581").replace("\u010a", "\\n") or "?" for i in ids.tolist()]


def _answers(ids: Tensor, tokenizer: Tokenizer) -> list[str | None]:
    names = _names(ids.clamp_min(0), tokenizer)
    return [None if i == IGNORE_INDEX else name for i, name in zip(ids.tolist(), names, strict=True)]


def _labels(row: Row) -> list[str]:
    return [cell or "" for cell in row.cells]


def _block_text(block: Block, width: int) -> str:
    lines = [block.title] if block.title else []
    groups: list[list[Row]] = []
    for row in block.rows:
        groups[-1:] = [[*groups[-1], row]] if groups and not row.apart else [*groups[-1:], [row]]
    left = max((len(row.name) for row in block.rows), default=0) + 2
    for group in groups:
        lines += _rows_text(group, left, width)
    lines += block.notes
    for drawing in block.masks:
        lines += ["", drawing.title, mask_text(drawing.allowed, drawing.queries, drawing.keys, width)]
    return "\n".join(lines)


def _rows_text(rows: Sequence[Row], left: int, width: int) -> list[str]:
    """The rows under each other, cell under cell, in as many stripes as the width asks for."""
    count = max((len(row.cells) for row in rows), default=0)
    cells = [[row.cells[i] or "" if i < len(row.cells) else "" for i in range(count)] for row in rows]
    widths = [max(cell_len(line[i]) for line in cells) + 1 for i in range(count)]
    lines: list[str] = []
    start = 0
    while start < count:
        end, used = start, left
        while end < count and (end == start or used + widths[end] <= width):
            used += widths[end]
            end += 1
        if lines:
            lines.append("")
        for row, line in zip(rows, cells, strict=True):
            if any(line[start:end]):
                lines.append((pad(row.name, left) + "".join(pad(line[i], widths[i]) for i in range(start, end))).rstrip())
        start = end
    return lines


def _plain(block: Block) -> dict[str, Any]:
    masks = [{"title": m.title, "rule": m.rule, "queries": m.queries, "keys": m.keys, "allowed": m.allowed} for m in block.masks]
    rows = [{"name": row.name, "tokens": row.cells} for row in block.rows]
    return {"title": block.title, "rows": rows, "notes": block.notes, "masks": masks}
