"""The model that is trained: fresh by family and size, or one that goes on, with new words if asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from maskfork.errors import ModelError, TokenizerError, UsageError
from maskfork.learn.objectives.contract import Objective
from maskfork.learn.pretrain.choose import check_family, objective_of, usual_objective
from maskfork.learn.pretrain.settings import Settings
from maskfork.learn.pretrain.shape import shaped
from maskfork.learn.pretrain.sizes import config_of
from maskfork.models.families import all_families, family_of
from maskfork.models.hub import build, load
from maskfork.models.model import Model
from maskfork.models.tokenizers import Tokenizer, load_tokenizer

STARTS_WITH_END = ("bart", "mbart")  # a decoder's first token; the others' is padding
ROUND = 64  # rows of a token table: matrix multiplications like round numbers


@dataclass
class Built:
    """A model with its objective and what is said of how it came about."""

    model: Model
    objective: Objective
    notes: list[str] = field(default_factory=list)


def build_model(settings: Settings) -> Built:
    """Raises ModelError, TokenizerError, UsageError."""
    return _fresh(settings) if settings.start is None else _going_on(settings)


def _fresh(settings: Settings) -> Built:
    if settings.family is None or settings.tokenizer is None:
        raise UsageError("a fresh model needs a family and a tokenizer")
    check_family(settings.family)
    tokenizer = load_tokenizer(settings.tokenizer)
    ids = ids_of(settings.family, tokenizer)
    config = shaped(config_of(settings.family, settings.size, settings.length, settings.dropout, ids), settings.shape)
    config |= {"vocab_size": -(-tokenizer.size // ROUND) * ROUND}
    fork = family_of(config).spec(config).fork
    objective = objective_of(
        settings.objective or usual_objective(settings.family, fork), tokenizer, settings.objective_settings, settings.length
    )
    model = build(config, objective.head if objective.needs == fork else None, seed=settings.seed)
    objective.check(model)
    model.tokenizer = tokenizer
    spare = config["vocab_size"] - tokenizer.size
    count = sum(p.numel() for p in model.parameters())
    notes = [
        f"fresh {settings.family} ({settings.size}): {count:,} parameters, {tokenizer.size:,} tokens and {spare} rows to spare"
    ]
    return Built(model, objective, notes)


def ids_of(family: str, tokenizer: Tokenizer) -> dict[str, Any]:
    """The special tokens that a config names. Raises TokenizerError where the family cannot do without one that is not there."""
    found = {f"{name}_token_id": tokenizer.special(name) for name in ("pad", "bos", "eos")}
    known = all_families()[family]
    fork = known.spec({"model_type": family, **known.tiny[0]}).fork
    if fork != "decoder" and found["pad_token_id"] is None:
        raise TokenizerError(f"a {family} needs a padding token: train a tokenizer with --for {family}")
    if fork == "encoder-decoder":
        if found["eos_token_id"] is None:
            raise TokenizerError(f"a {family} needs an end-of-text token: train a tokenizer with --for {family}")
        found["decoder_start_token_id"] = found["eos_token_id" if family in STARTS_WITH_END else "pad_token_id"]
    return {name: index for name, index in found.items() if index is not None}


def _going_on(settings: Settings) -> Built:
    if settings.start is None:
        raise UsageError("name the folder to go on from")
    bare = load(settings.start, "none")
    tokenizer = bare.tokenizer
    extended = None
    if settings.tokenizer is not None:
        other = load_tokenizer(settings.tokenizer)
        if other.inner.get_vocab() != tokenizer.inner.get_vocab():
            if not settings.extend_vocabulary:
                raise UsageError(
                    f"{settings.tokenizer} is not the tokenizer of {settings.start}: leave it out to keep the model's own, or "
                    "say --extend-vocabulary to add its words"
                )
            extended = other
    name = settings.objective or usual_objective(bare.spec.family, bare.spec.fork)
    objective = objective_of(name, tokenizer, settings.objective_settings, settings.length)
    if objective.needs != bare.spec.fork:
        objective.check(bare)
    model = load(settings.start, objective.head, seed=settings.seed)
    objective.check(model)
    limit = model.spec.max_length
    if limit is not None and settings.length > limit:
        raise UsageError(f"{settings.start} reads {limit} tokens and --length says {settings.length}: shorten it")
    notes = [f"goes on from {settings.start}", *model.notes]
    if extended is not None:
        model, said = extend(model, extended)
        objective = objective_of(name, model.tokenizer, settings.objective_settings, settings.length)
        notes.append(said)
    return Built(model, objective, notes)


def extend(model: Model, other: Tokenizer) -> tuple[Model, str]:
    """The model with the words of another tokenizer that its own lacks, appended to its vocabulary.

    A new row is the mean of the rows of the pieces that the word was spelled with until now (Hewitt 2021, "Initializing new
    word embeddings"), so that the model's answers hardly move. The other tokenizer's special tokens are not taken.
    """
    own = model.tokenizer
    if model.spec.decoder_vocab_size is not None:
        raise ModelError("a model with two vocabularies cannot be given new words: take one with a single vocabulary")
    known = own.inner.get_vocab(with_added_tokens=True)
    special = {t.content for t in other.inner.get_added_tokens_decoder().values() if t.special}
    words: list[tuple[str, list[int]]] = []
    for token, index in sorted(other.inner.get_vocab().items(), key=lambda item: item[1]):
        text = other.decode([index]).strip()
        if token in special or token in known or text in known or len(text) < 2 or not text.isalnum() or token.startswith("##"):
            continue
        pieces = own.encode(text, special=False)
        if len(pieces) > 1 and own.special("unk") not in pieces:
            words.append((text, pieces))
    if not words:
        return model, "the other tokenizer has no word that the model's own lacks"
    import tokenizers

    size = own.size
    own.inner.add_tokens([tokenizers.AddedToken(word, single_word=True, normalized=True) for word, _ in words])
    config = {**model.config, "vocab_size": -(-own.size // ROUND) * ROUND}
    wider = build(config, model.spec.head.kind if model.spec.head else None)
    old, new = model.tensors(), dict(wider.named_parameters())
    with torch.no_grad():
        for name, tensor in old.items():
            target = new.get(f"body.{name}", new.get(name))
            if target is None:
                raise ModelError(f"{name} has no place in the wider model")
            if target.shape == tensor.shape:
                target.copy_(tensor)
                continue
            target[: len(tensor)] = tensor
            target[len(tensor) :] = tensor[:size].mean(0)
            for word, pieces in words:
                number = own.id(word)
                if number is not None:
                    target[number] = tensor[pieces].mean(0)
    wider.tokenizer = own
    return wider.eval(), f"{own.size - size:,} new words, each the mean of its old pieces"
