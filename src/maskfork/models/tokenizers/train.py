"""Training a tokenizer on files: streamed, with a family's special tokens and normaliser, the same result every time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, models, processors, trainers

from maskfork.errors import UsageError
from maskfork.models.tokenizers import frames, wordpiece
from maskfork.models.tokenizers.face import Tokenizer
from maskfork.models.tokenizers.letters import BYTE_LETTERS
from maskfork.models.tokenizers.read import OWN_CLASS
from maskfork.models.tokenizers.recipes import BYTES, Recipe, byte_level, letters, recipe_for, unknown_of, word_piece
from maskfork.models.tokenizers.texts import Moved, size_of, stream
from maskfork.models.tokenizers.unigram import count_words, train_unigram

ALPHABET = 1000
"""Letters that a BPE of letters keeps, the most frequent first; others are unknown (or bytes)."""


def train_tokenizer(
    files: Sequence[str | Path],
    kind: str | None = None,
    vocab_size: int = 8000,
    family: str | None = None,
    *,
    bytes_: bool | None = None,
    lower: bool | None = None,
    least: int = 2,
    column: str = "text",
    moved: Moved | None = None,
) -> Tokenizer:
    """A new tokenizer of `vocab_size` tokens, the special ones among them.

    `kind`: bpe, wordpiece or unigram; without it the family's. `family`: whose special tokens and normaliser; without it
    gpt2 for bpe, bert for wordpiece, t5 for unigram. `bytes_`: a BPE of bytes or of letters; without it the family's.
    `lower`: lower-case a WordPiece; without it the family's. `least`: how often a pair must come to be joined. `column`:
    the text in json lines and parquet. `moved` is told of every byte read. Raises UsageError, DataError, TokenizerError.
    """
    name, recipe, chosen = recipe_for(family, kind)
    if not size_of(files):
        raise UsageError("there is nothing to learn from: name at least one file")
    of_bytes = recipe.byte_level if bytes_ is None else bytes_
    if chosen != "bpe" and bytes_:
        raise UsageError(f"only a BPE can be one of bytes, and this is a {chosen}: leave --byte-level out")
    texts = stream(files, column, moved)
    room = vocab_size - len(recipe.special) - len(recipe.last)
    notes: list[str] = []
    if chosen == "unigram":
        _room(room, 2, vocab_size, recipe)
        special, unknown = _with_unknown(recipe)
        inner, notes = train_unigram(texts, vocab_size - len(recipe.last), special, unknown)
    elif chosen == "wordpiece":
        _room(room, 2, vocab_size, recipe)
        inner = _word_piece(texts, vocab_size - len(recipe.last), recipe, recipe.lower if lower is None else lower, least)
    elif of_bytes:
        _room(room, 256, vocab_size, recipe)
        inner = _byte_level(texts, vocab_size - len(recipe.last), recipe, least)
    else:
        _room(room, 258 if recipe.byte_fallback else 2, vocab_size, recipe)
        inner = _letters(_lines(texts), vocab_size - len(recipe.last), recipe, least)
    _finish(inner, recipe, of_bytes and chosen == "bpe")
    made = Tokenizer(inner, {**frames.known_names(inner, recipe.frame), "tokenizer_class": OWN_CLASS}, chosen, notes)
    if made.size < vocab_size:
        made.notes.append(f"the texts give only {made.size:,} of the {vocab_size:,} tokens asked for: train on more text")
    made.notes.append(
        f"made for {name}: {chosen}, {made.size:,} tokens, {len(recipe.special) + len(recipe.last)} of them special"
    )
    return made


def _room(room: int, least: int, size: int, recipe: Recipe) -> None:
    if room < least:
        special = len(recipe.special) + len(recipe.last)
        raise UsageError(
            f"{size} tokens have no room for {special} special ones and {least} to begin with: "
            f"ask for a --vocab-size of {special + least} or more"
        )


def _with_unknown(recipe: Recipe) -> tuple[list[str], str]:
    unknown = unknown_of(recipe)
    return (list(recipe.special), unknown) if unknown is not None else (["<unk>", *recipe.special], "<unk>")


def _word_piece(texts: Iterator[str], size: int, recipe: Recipe, lower: bool, least: int) -> tokenizers.Tokenizer:
    special, unknown = _with_unknown(recipe)
    inner = tokenizers.Tokenizer(models.WordPiece(unk_token=unknown, max_input_chars_per_word=100))
    inner.normalizer, inner.pre_tokenizer, inner.decoder = word_piece(lower)
    vocabulary = wordpiece.learn(count_words(texts), inner, size, special, unknown, least)
    inner.model = models.WordPiece(vocabulary, unk_token=unknown, max_input_chars_per_word=100)
    return inner


def _byte_level(texts: Iterator[str], size: int, recipe: Recipe, least: int) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer, inner.decoder = byte_level()
    inner.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=least,
        initial_alphabet=sorted(BYTE_LETTERS.values()),
        special_tokens=list(recipe.special),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    return inner


def _letters(texts: Iterator[str], size: int, recipe: Recipe, least: int) -> tokenizers.Tokenizer:
    """SentencePiece's kind of BPE, bytes for what has no letter where the family has them."""
    special, unknown = _with_unknown(recipe)
    fallback = BYTES if recipe.byte_fallback else ()
    inner = tokenizers.Tokenizer(models.BPE(unk_token=unknown))
    inner.normalizer, inner.pre_tokenizer, inner.decoder = letters(recipe.byte_fallback)
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(fallback),
        min_frequency=least,
        limit_alphabet=max(2, min(ALPHABET, size - len(fallback) - len(special))),
        special_tokens=special,
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    learned = json.loads(inner.to_str())["model"]
    ordered = sorted((t for t in learned["vocab"] if t not in special), key=learned["vocab"].__getitem__)
    vocabulary = {token: i for i, token in enumerate([*special, *fallback, *ordered])}
    merges = [tuple(m) for m in learned["merges"]]
    inner.model = models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=recipe.byte_fallback)
    return inner


def _lines(texts: Iterator[str]) -> Iterator[str]:
    """SentencePiece learns from lines, and no token holds the end of one."""
    for text in texts:
        yield from (line for line in text.splitlines() if line)


def _finish(inner: tokenizers.Tokenizer, recipe: Recipe, of_bytes: bool) -> None:
    """The special tokens around a text, and those that come last."""
    frame = recipe.frame
    if frame in (frames.BERT, frames.ROBERTA) and of_bytes:
        frames.put_around_bytes(inner, frame)
    elif frame not in (frames.GPT2, frames.BARE):
        frames.put_around(inner, frame)
    greedy = frame is frames.ROBERTA or (of_bytes and "mask" in frame.named)
    frames.add_special(inner, frame, greedy_mask=greedy)
    inner.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in recipe.last])
