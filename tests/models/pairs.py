"""Asking a model of `transformers` and ours the same, for every head, and putting the answers side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from maskfork import Model, load
from maskfork.core.batch import Batch
from maskfork.models.hub import their_tensors
from maskfork.models.model import Output
from tests.models.theirs import Case, as_saved, batch_of, marks_of, pad, padding, saved, types_of, weigh

PAIR_LOGITS = ("seq_relationship_logits", "sop_logits")
CHOICES = 2  # so that the texts are two questions


@dataclass
class Pair:
    """Their model, ours, and what theirs says about right-padded texts."""

    case: Case
    theirs: Any
    ours: Model
    texts: list[list[int]]
    types: list[list[int]] | None
    marks: list[list[int]] | None
    targets: list[list[int]] | None
    values: dict[str, Tensor]  # what is compared, zeros in padding
    weights: dict[str, tuple[Tensor, ...]]  # attention weights, if theirs gives them
    grads: dict[str, Tensor]  # of all that theirs learns, by every name that a folder may give it
    written: dict[str, Tensor]  # their folder's tensors

    def run(self, layout: str, kernel: str, **more: Any) -> tuple[Output, Batch]:
        """Our output, and the batch that its places belong to."""
        source = batch_of(self.texts, self.types, layout, marks=self.marks)
        target = None if self.targets is None else batch_of(self.targets, None, layout)
        output = self.ours(source, decoder_input_ids=target, kernel=kernel, choices=CHOICES, **more)
        return output, target or source

    def our_grads(self) -> dict[str, Tensor]:
        """Our parameters' gradients under the names of a folder, zeros where there is none."""
        found = self.ours.named_parameters()
        mine = {n.removeprefix("body."): torch.zeros_like(p) if p.grad is None else p.grad for n, p in found}
        return their_tensors(self.ours, mine)


def kept(x: Tensor, mask: Tensor) -> Tensor:
    """[B, S, ...] with zeros in padding."""
    return x * mask.view(*mask.shape, *[1] * (x.dim() - 2))


def given_to_theirs(
    case: Case, lists: list[list[int]], types: Any, marks: Any, targets: Any, side: str = "right"
) -> tuple[dict[str, Tensor], Tensor]:
    """Their keyword arguments, and the mask of the places that are compared."""
    ids, mask = pad(lists, side, padding(case))
    given = dict(input_ids=ids, attention_mask=mask)
    if types is not None:
        given["token_type_ids"] = pad(types, side)[0]
    if marks is not None:
        given["global_attention_mask"] = pad(marks, side)[0]
    if case.head == "choice":
        given = {name: x.view(-1, CHOICES, x.shape[-1]) for name, x in given.items()}
    if targets is not None:
        given["decoder_input_ids"], mask = pad(targets, side, padding(case))
        given["decoder_attention_mask"] = mask
    return given, mask


def their_values(case: Case, out: Any, mask: Tensor) -> dict[str, Tensor]:
    """What is compared, by our names."""
    values: dict[str, Tensor] = {}
    match case.head:
        case None | "pool":
            values["hidden"] = kept(out.last_hidden_state, mask)
            if case.head == "pool":
                values["pooled"] = out.pooler_output
        case "span":
            values["start_logits"], values["end_logits"] = kept(out.start_logits, mask), kept(out.end_logits, mask)
        case "pretrain":
            values["logits"] = kept(out.prediction_logits, mask)
            values["pair_logits"] = next(out[name] for name in PAIR_LOGITS if name in out)
        case _:
            values["logits"] = kept(out.logits, mask) if case.per_token else out.logits
    return values


def our_values(case: Case, out: Output, batch: Batch) -> dict[str, Tensor]:
    """Our output in the shape of theirs: a row a sequence, padded on the right with zeros."""
    values: dict[str, Tensor] = {}
    if case.head in (None, "pool"):
        values["hidden"] = batch.unpack(out.last_hidden_state)
    for name in ("pooled", "pair_logits"):
        if getattr(out, name) is not None:
            values[name] = getattr(out, name)
    names = ("start_logits", "end_logits") if case.head == "span" else ("logits",)
    for name in names:
        found = getattr(out, name)
        if found is not None:
            values[name] = batch.unpack(found) if case.per_token else found
    return values


def total(values: dict[str, Tensor]) -> Tensor:
    return sum((weigh(v) * v).sum() for _, v in sorted(values.items()))  # type: ignore[return-value]


def pair_of(case: Case, folder: Path, *, attention: bool = True) -> Pair:
    """Their model saved and loaded as ours, with their answers and gradients."""
    model = saved(case, folder)
    texts, targets = case.texts(), case.targets()
    types, marks = types_of(case, texts), marks_of(case, texts)
    given, mask = given_to_theirs(case, texts, types, marks, targets, case.side)
    out = model(**given, output_attentions=attention)
    values = their_values(case, out, mask)
    total(values).backward()  # type: ignore[no-untyped-call]
    learned = {n: p for n, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    grads = as_saved(model, {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in learned.items()})
    weights = {}
    if attention:
        first = "decoder_attentions" if case.two_stacks else "attentions"
        names = {"attentions": first, "cross_attentions": "cross_attentions", "encoder_attentions": "encoder_attentions"}
        weights = {ours: tuple(w.detach() for w in out[name]) for ours, name in names.items() if out.get(name)}
    values = {n: v.detach() for n, v in values.items()}
    written = load_file(folder / "model.safetensors")
    return Pair(case, model, load(folder), texts, types, marks, targets, values, weights, grads, written)
