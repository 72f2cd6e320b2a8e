"""How well a language model knows a text: perplexity of a decoder, pseudo-perplexity of an encoder, bits per byte of both.

    decoder   p(the) p(cat | the) p(sat | the cat) ...            a probability of the text: it may be ranked
    encoder   p(the | _ cat sat) p(cat | the _ sat) ...           each token with both its sides known: no probability of anything

Perplexity is exp of the mean loss a token, so that it depends on how a tokenizer cuts words; bits per byte does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.errors import ModelError, TokenizerError, UsageError
from maskfork.models.heads.cross_entropy import IGNORE_INDEX
from maskfork.models.model import Model, check_head

LONGEST = 1024  # tokens of context where the model names no limit
BATCH = 4096  # tokens of a forward pass


@dataclass(frozen=True)
class Perplexity:
    """`kind` is perplexity or pseudo-perplexity. `loss` in nats a token, over `tokens` tokens of `size` bytes of text."""

    kind: str
    value: float
    loss: float
    bits_per_byte: float
    tokens: int
    size: int
    context: int
    notes: list[str] = field(default_factory=list)


def perplexity(model: Model, texts: Sequence[str], *, context: int | None = None, limit: int | None = None) -> Perplexity:
    """Of a decoder. Raises UsageError for another kind of model.

    A window of `context` tokens moves on by half of itself, so that each token is scored once and, but for a text's beginning,
    with at least half of the context before it. The first token is scored where the tokenizer has a token that begins a text.
    `limit` stops after so many tokens.
    """
    check_kind(model, "perplexity")
    width = _context(model, context)
    tokenizer = model.tokenizer
    begin = tokenizer.special("bos")
    total, count, size, notes = 0.0, 0, 0, []
    windows: list[tuple[list[int], int]] = []
    for text in texts:
        ids = tokenizer.encode(text, special=False)
        room = len(ids) if limit is None else min(len(ids), limit - count)
        size += len(text.encode()) if room == len(ids) else _bytes(model, text, room)
        whole = ids[:room] if begin is None else [begin, *ids[:room]]
        count += max(len(whole) - 1, 0)
        windows += _windows(whole, width)
        if limit is not None and count >= limit:
            notes.append(f"the first {count:,} tokens alone were scored")
            break
    if begin is None:
        notes.append("the tokenizer has no token that begins a text: the first token of each was not scored")
    for group in _grouped(windows):
        tokens = torch.tensor([ids[:-1] for ids, _ in group])
        targets = torch.tensor([ids[1:] for ids, _ in group])
        for row, (ids, fresh) in enumerate(group):
            targets[row, : len(ids) - 1 - fresh] = IGNORE_INDEX
        total += _loss(model, tokens, targets)
    return _result("perplexity", total, count, size, width, notes)


def pseudo_perplexity(model: Model, texts: Sequence[str], *, context: int | None = None, limit: int | None = None) -> Perplexity:
    """Of an encoder with a masked-word head (Salazar et al. 2020): every token is masked in turn. Raises UsageError.

    A text is cut into windows of `context` tokens, special tokens included; n tokens cost n passes.
    """
    check_kind(model, "pseudo-perplexity")
    width = _context(model, context)
    tokenizer = model.tokenizer
    mask = tokenizer.special("mask")
    if mask is None:
        raise TokenizerError("pseudo-perplexity masks every token in turn, and this tokenizer names no mask token")
    whole, bare = tokenizer.encode("a", special=True), tokenizer.encode("a", special=False)
    at = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)
    front, back = whole[:at], whole[at + len(bare) :]
    room = width - len(front) - len(back)
    if room < 2:
        raise UsageError(f"a context of {width} tokens leaves no room beside the special tokens: raise it")
    total, count, size, notes = 0.0, 0, 0, []
    for text in texts:
        ids = tokenizer.encode(text, special=False)
        left = len(ids) if limit is None else min(len(ids), limit - count)
        size += len(text.encode()) if left == len(ids) else _bytes(model, text, left)
        for start in range(0, left, room):
            part = ids[start : min(start + room, left)]
            total += _masked_in_turn(model, [*front, *part, *back], range(len(front), len(front) + len(part)), mask)
            count += len(part)
        if limit is not None and count >= limit:
            notes.append(f"the first {count:,} tokens alone were scored")
            break
    return _result("pseudo-perplexity", total, count, size, width, notes)


def check_kind(model: Model, kind: str) -> None:
    """Raises UsageError, or ModelError where the head is missing."""
    fork, name = model.spec.fork, model.spec.family
    if fork == "encoder-decoder":
        raise UsageError(
            f"{name} is an encoder-decoder: it gives the probability of an answer to a text, not of a text; evaluate a decoder "
            "or an encoder"
        )
    if kind == "perplexity" and fork != "decoder":
        raise UsageError(
            f"{name} is an encoder: it sees both sides of every token, so it gives no probability of a text; ask for its "
            "--pseudo-perplexity"
        )
    if kind == "pseudo-perplexity" and fork != "encoder":
        raise UsageError(f"{name} is a decoder: it gives the probability of a text itself; ask for its --perplexity")
    check_head(model.spec, "causal_lm" if fork == "decoder" else "masked_lm")


def check_ranking(models: Sequence[Model], names: Sequence[str]) -> None:
    """Raises UsageError where the numbers of these models cannot be put in an order."""
    forks = {model.spec.fork: name for model, name in zip(models, names, strict=True)}
    if len(forks) > 1:
        raise UsageError(
            f"{forks.get('encoder', names[0])} and {forks.get('decoder', names[-1])} cannot be ranked by these numbers: an "
            "encoder guesses each token with both its sides known, a decoder from the past alone, so a pseudo-perplexity is "
            "lower for a reason that has nothing to do with how well the model knows the language; rank them on a task, with "
            "`maskfork compare`"
        )


def _context(model: Model, asked: int | None) -> int:
    most = model.spec.max_length
    if asked is None:
        return min(most or LONGEST, LONGEST)
    if asked < 4 or (most is not None and asked > most):
        raise UsageError(f"the context is from 4 to {most or 'any number of'} tokens for this model, not {asked}")
    return asked


def _windows(ids: list[int], width: int) -> Iterator[tuple[list[int], int]]:
    """(tokens, how many of the last are scored): `width` tokens are read for each and one more is said."""
    done, step = 1, max(1, width // 2)
    while done < len(ids):
        end = min(len(ids), done + (width if done == 1 else step))
        yield ids[max(0, end - width - 1) : end], end - done
        done = end


def _grouped(windows: list[tuple[list[int], int]]) -> Iterator[list[tuple[list[int], int]]]:
    """Windows of one length, as many as a pass takes."""
    by_length: dict[int, list[tuple[list[int], int]]] = {}
    for window in windows:
        by_length.setdefault(len(window[0]), []).append(window)
    for length, found in by_length.items():
        rows = max(1, BATCH // length)
        for start in range(0, len(found), rows):
            yield found[start : start + rows]


def _masked_in_turn(model: Model, ids: list[int], places: range, mask: int) -> float:
    """The summed loss of these places, each masked in a copy of its own."""
    total, rows = 0.0, max(1, BATCH // len(ids))
    for start in range(places.start, places.stop, rows):
        chosen = torch.arange(start, min(start + rows, places.stop))
        tokens = torch.tensor(ids).repeat(len(chosen), 1)
        targets = torch.full_like(tokens, IGNORE_INDEX)
        line = torch.arange(len(chosen))
        targets[line, chosen] = tokens[line, chosen]
        tokens[line, chosen] = mask
        total += _loss(model, tokens, targets)
    return total


@torch.inference_mode()
def _loss(model: Model, tokens: Tensor, targets: Tensor) -> float:
    """Summed over the places that have a target."""
    output = model(Batch.padded(tokens.to(model.device)), targets=targets.to(model.device))
    if output.loss is None:
        raise ModelError("this model has no language model's head: load it with head='causal_lm' or head='masked_lm'")
    return float(output.loss) * int((targets != IGNORE_INDEX).sum())


def _bytes(model: Model, text: str, tokens: int) -> int:
    """Bytes of the text that its first tokens cover."""
    offsets = model.tokenizer.offsets(text, special=False)[:tokens]
    return len(text[: offsets[-1][1]].encode()) if offsets else 0


def _result(kind: str, total: float, count: int, size: int, context: int, notes: list[str]) -> Perplexity:
    if count == 0:
        raise UsageError("there is no token to score: give a longer text")
    loss = total / count
    value = math.exp(loss) if loss < 700 else math.inf
    return Perplexity(kind, value, loss, total / math.log(2) / max(size, 1), count, size, context, notes)
