"""A tokenizer like another one, with a vocabulary of other texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, trainers

from maskfork.errors import TokenizerError, UsageError
from maskfork.models.tokenizers import wordpiece
from maskfork.models.tokenizers.letters import BYTE_LETTERS
from maskfork.models.tokenizers.recipes import BYTES
from maskfork.models.tokenizers.texts import size_of, stream
from maskfork.models.tokenizers.unigram import count_words, learn


def retrain(
    inner: tokenizers.Tokenizer, files: Sequence[str | Path], size: int, column: str, moved: Callable[[int], None] | None
) -> tokenizers.Tokenizer:
    """`size` tokens. Special tokens keep their place: first those that were first, last those beyond the vocabulary."""
    if not size_of(files):
        raise UsageError("there is nothing to learn from: name at least one file")
    told = json.loads(inner.to_str())
    model: dict[str, Any] = told["model"]
    added = sorted(told["added_tokens"], key=lambda t: int(t["id"]))
    inside = [t["content"] for t in added if _inside(model, t["content"])]
    outside = [t["content"] for t in added if t["content"] not in inside]
    fallback = list(BYTES) if model.get("byte_fallback") else []
    first = [*inside, *fallback]
    room = size - len(first) - len(outside)
    if room < 2:
        raise UsageError(f"{size} tokens have no room beside {len(first) + len(outside)} special ones: ask for more")
    texts = stream(files, column, moved)
    if model["type"] == "Unigram":
        pieces = learn(count_words(texts), inner, room, taken=set(first))
        lowest = min(p.score for p in pieces)
        unknown = model["vocab"][model["unk_id"]][0] if model.get("unk_id") is not None else None
        rows = [[t, 7 * lowest - 100 if t in fallback else 0.0] for t in first]
        model["vocab"] = rows + [[p.text, p.score] for p in pieces]
        model["unk_id"] = first.index(unknown) if unknown in first else None
    elif model["type"] in ("BPE", "WordPiece"):
        learned = _merged(inner, model, texts, first, size - len(fallback) - len(outside), inside)
        ordered = [t for t in sorted(learned["vocab"], key=learned["vocab"].__getitem__) if t not in set(first)]
        model["vocab"] = {token: i for i, token in enumerate([*first, *ordered])}
        if "merges" in model:
            model["merges"] = learned["merges"]
    else:
        raise TokenizerError(f"a {model['type']} is not trained here: start from nothing with train_tokenizer")
    held = [row[0] for row in model["vocab"]] if model["type"] == "Unigram" else list(model["vocab"])
    ids = {token: i for i, token in enumerate([*held, *outside])}
    for token in told["added_tokens"]:
        token["id"] = ids[token["content"]]
    told["added_tokens"].sort(key=lambda t: t["id"])
    told["post_processor"] = _renumbered(told["post_processor"], ids)
    return tokenizers.Tokenizer.from_str(json.dumps(told))


def _inside(model: dict[str, Any], token: str) -> bool:
    vocabulary = model["vocab"]
    return token in vocabulary if isinstance(vocabulary, dict) else any(row[0] == token for row in vocabulary)


def _merged(
    inner: tokenizers.Tokenizer, model: dict[str, Any], texts: Any, first: list[str], size: int, special: list[str]
) -> dict[str, Any]:
    if model["type"] == "WordPiece":
        return {"vocab": wordpiece.learn(count_words(texts), inner, size, special, model["unk_token"], 2)}
    if model.get("end_of_word_suffix"):
        raise TokenizerError("a BPE with word ends (</w>) is not trained here: start from nothing with train_tokenizer")
    scratch = tokenizers.Tokenizer(models.BPE())
    of_bytes = "ByteLevel" in repr(inner.pre_tokenizer)
    alphabet: dict[str, Any] = {"initial_alphabet": sorted(BYTE_LETTERS.values())} if of_bytes else {"limit_alphabet": 1000}
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, special_tokens=special, show_progress=False, **alphabet)
    if inner.normalizer is not None:
        scratch.normalizer = inner.normalizer
    if inner.pre_tokenizer is not None:
        scratch.pre_tokenizer = inner.pre_tokenizer
    scratch.train_from_iterator(texts, trainer)
    found: dict[str, Any] = json.loads(scratch.to_str())["model"]
    return found


def _renumbered(part: Any, ids: dict[str, int]) -> Any:
    """The post-processor with the new ids of its tokens."""
    if isinstance(part, list):
        return [_renumbered(p, ids) for p in part]
    if not isinstance(part, dict):
        return part
    kept = {key: _renumbered(value, ids) for key, value in part.items()}
    if kept.get("type") in ("BertProcessing", "RobertaProcessing"):
        for name in ("sep", "cls"):
            kept[name] = [kept[name][0], ids[kept[name][0]]]
    if isinstance(kept.get("special_tokens"), dict):
        for token in kept["special_tokens"].values():
            token["ids"] = [ids[t] for t in token["tokens"]]
    return kept
