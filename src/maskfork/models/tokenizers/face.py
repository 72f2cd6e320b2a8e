"""The face that the house uses: encode, decode, count, save."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from maskfork.models.windows import one_end


@dataclass(frozen=True)
class Encoded:
    """One text's ids and types, whole, with how many tokens a limit would cost (`lost` of `total`)."""

    ids: list[int]
    types: list[int]
    lost: int = 0

    @property
    def total(self) -> int:
        return len(self.ids) + self.lost


@dataclass(frozen=True)
class Placed:
    """One text's (or pair's) tokens, whole, and where they stand.

    `places` are the characters (start, end) of the text that a token is of; `sides` is 0 for the text, 1 for its pair and None
    for special tokens.
    """

    ids: list[int]
    types: list[int]
    places: list[tuple[int, int]]
    sides: list[int | None]


class Tokenizer:
    """Wraps a `tokenizers.Tokenizer`; truncation and padding of its file are switched off: this house says what is lost."""

    def __init__(
        self,
        inner: tokenizers.Tokenizer,
        config: dict[str, Any] | None = None,
        kind: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        inner.no_truncation()
        inner.no_padding()
        self.inner = inner
        self.config = dict(config or {})
        self.kind = kind or type(inner.model).__name__
        self.notes = list(notes)  # what was decided where a file left it open

    @property
    def size(self) -> int:
        """One more than the highest id."""
        vocabulary = self.inner.get_vocab(with_added_tokens=True)
        return max(vocabulary.values(), default=-1) + 1

    def id(self, token: str) -> int | None:
        """A token's id, None where there is no such token."""
        found: int | None = self.inner.token_to_id(token)
        return found

    def token(self, index: int) -> str:
        found: str | None = self.inner.id_to_token(index)
        return f"<{index}>" if found is None else found

    def special(self, name: str) -> int | None:
        """The id of `pad`, `cls`, `sep`, `mask`, `bos`, `eos`, `unk` as tokenizer_config.json names it."""
        value = self.config.get(f"{name}_token")
        text = value.get("content") if isinstance(value, dict) else value
        return None if text is None else self.id(str(text))

    def encode(self, text: str, special: bool = True) -> list[int]:
        """Ids of a text, with the model's own special tokens unless `special` is False."""
        ids: list[int] = self.inner.encode(text, add_special_tokens=special).ids
        return ids

    def encode_many(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        special: bool = True,
        last: bool = False,
    ) -> list[Encoded]:
        """Ids and types of many texts (or pairs). `limit` cuts the longer side at its end and counts what is lost.

        With `last` it is cut at its start. Special tokens always stay. Runs in threads of its own.
        """
        inputs: Any = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        return [_cut(e, limit, last) for e in self.inner.encode_batch_fast(inputs, add_special_tokens=special)]  # no offsets

    def encode_placed(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Placed]:
        """Ids and types as `encode_many` gives them, with the characters that each token is of."""
        inputs: Any = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        return [Placed(e.ids, e.type_ids, e.offsets, e.sequence_ids) for e in self.inner.encode_batch(inputs)]

    def encode_sided(self, text: str, pair: str | None = None, *, limit: int | None = None) -> tuple[Encoded, list[int | None]]:
        """One text (and its pair) as `encode_many` does it, and for each token 0, 1 (of the pair) or None (special)."""
        given: Any = text if pair is None else (text, pair)
        whole = self.inner.encode_batch([given])[0]
        sides = whole.sequence_ids
        if limit is None or len(whole.ids) <= limit:
            return _cut(whole, None), list(sides)
        return _cut(whole, limit), [sides[i] for i in one_end(sides, limit)]

    def offsets(self, text: str, special: bool = True) -> list[tuple[int, int]]:
        """(start, end) characters of each token; special tokens are (0, 0)."""
        spans: list[tuple[int, int]] = self.inner.encode(text, add_special_tokens=special).offsets
        return spans

    def decode(self, ids: Sequence[int], skip_special: bool = True) -> str:
        """Text of ids."""
        text: str = self.inner.decode(list(ids), skip_special_tokens=skip_special)
        return text

    def train(
        self,
        files: Sequence[str | Path],
        vocab_size: int | None = None,
        *,
        column: str = "text",
        moved: Callable[[int], None] | None = None,
    ) -> Tokenizer:
        """A new tokenizer with a vocabulary of these files; normaliser, words and special tokens are this one's.

        As many tokens as this one has, unless `vocab_size` is given. Files as for `maskfork.train_tokenizer`, which starts
        from nothing. Raises UsageError, DataError, TokenizerError.
        """
        from maskfork.models.tokenizers.like import retrain

        inner = retrain(self.inner, files, vocab_size or self.size, column, moved)
        made = Tokenizer(inner, self.config, self.kind)
        if vocab_size is not None and made.size < vocab_size:
            made.notes.append(f"the texts give only {made.size:,} of the {vocab_size:,} tokens asked for: train on more text")
        return made

    def save(self, folder: str | Path, inputs: Sequence[str] | None = None) -> Path:
        """Write tokenizer.json and tokenizer_config.json, as `transformers` reads them.

        `inputs` names what the model takes; without `token_type_ids` there, `transformers` leaves a pair's types out.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.inner.save(str(folder / "tokenizer.json"))
        config = {"tokenizer_class": "PreTrainedTokenizerFast", **self.config}
        if inputs is not None:
            config["model_input_names"] = list(inputs)
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")
        return folder


def _cut(whole: Any, limit: int | None, last: bool = False) -> Encoded:
    """A `tokenizers.Encoding` within the limit. Raises TokenizerError."""
    ids, types = whole.ids, whole.type_ids
    if limit is None or len(ids) <= limit:
        return Encoded(ids, types)
    kept = one_end(whole.sequence_ids, limit, last=last)
    return Encoded([ids[i] for i in kept], [types[i] for i in kept], len(ids) - len(kept))
