"""Texts in, texts out: what `maskfork generate`, `translate` and `summarise` write, and the tasks that write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.models.encode import Encoding, OnLong, encode, limit_of
from maskfork.models.model import Model
from maskfork.models.native import Bits
from maskfork.models.packing import by_tokens
from maskfork.prompt.generate.constraints import Rule
from maskfork.prompt.generate.prompts import left_padded
from maskfork.prompt.generate.settings import Settings
from maskfork.prompt.generate.stream import TextStream
from maskfork.prompt.generate.write import check_writes, generate, settings_of
from maskfork.prompt.generate.written import Drafted, Reason, Written

#: prompt tokens of one batch, padding included, and its texts where the model's folder names no other number
TOKENS = 4096
ROWS = 64


@dataclass(frozen=True)
class Text:
    """What was written for one prompt (for the `prompt`-th of them, several times where several were asked for)."""

    prompt: int
    text: str
    reason: Reason
    tokens: int
    tokens_lost: int = 0  # of the prompt, which the model's limit cut
    score: float | None = None
    logprob: float | None = None  # of all its tokens together


def write_texts(
    model: Model,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    *,
    limit: int | None = None,
    on_long: OnLong = "truncate",
    on_text: Callable[[str], None] | None = None,
    moved: Callable[[int], None] | None = None,
    logprobs: bool = False,
    form: Rule | None = None,
    draft: Model | int | None = None,
    bits: Bits | None = None,
    **settings: Any,
) -> tuple[list[Text], list[str]]:
    """Texts in the order of the prompts (words, or token ids), and notes on what was cut or could not be done.

    `on_text` hears a single prompt's text as it comes; `moved` how many prompts are done. `limit` bounds a source's tokens,
    and `on_long` says what becomes of longer ones. `form` is what every text must be; `draft` guesses ahead; `bits` writes
    by a compiled pass over weights of 32, 16 or 8 bits.
    Raises UsageError, ModelError, TokenizerError.
    """
    check_writes(model)
    encoding = _encode(model, prompts, limit, on_long)
    if on_text is not None and len(prompts) > 1:
        raise UsageError("one text at a time can be heard as it is written: give one prompt")
    asked, notes = settings_of(model, **settings)
    times, streamed = asked.num_return_sequences, asked.num_beams == 1 and not asked.contrastive
    out: list[list[Text]] = [[] for _ in prompts]
    drafted: list[Drafted] = []
    together = ROWS if model.writing is None else model.writing.rows
    for rows in by_tokens(encoding.lengths, max(1, TOKENS // times), max(1, together // times)):
        ids, mask = _padded(model, [encoding.ids[i] for i in rows])
        stream = TextStream(model.tokenizer, encoding.ids[rows[0]], asked.stop_strings)
        live = on_text is not None and streamed and times == 1

        def hear(tokens: list[tuple[int, int]], stream: TextStream = stream) -> None:
            for _, token in tokens:
                if token not in asked.ends and on_text is not None and (piece := stream.add(token)):
                    on_text(piece)

        told = generate(
            model,
            ids,
            mask,
            on_tokens=hear if live else None,
            logprobs=1 if logprobs and streamed and draft is None else None,
            form=form,
            draft=draft,
            bits=bits,
            **settings,
        )
        if live and on_text is not None:
            on_text(stream.end())
        notes += told.notes
        drafted = drafted if told.drafted is None else [*drafted, told.drafted]
        for i, new in enumerate(told.new):
            row = int(rows[i // times])
            out[row].append(_text(model, told, i, row, encoding, new, asked))
        if on_text is not None and not live:
            on_text(out[int(rows[0])][0].text)
        if moved is not None:
            moved(len(rows))
    if drafted:
        notes.append(_about(drafted))
    lost = encoding.lost_note(limit_of(model, limit) or 0)
    return [text for texts in out for text in texts], list(dict.fromkeys([*notes, *([lost] if lost else [])]))


def _text(model: Model, told: Written, i: int, row: int, encoding: Encoding, new: list[int], asked: Settings) -> Text:
    ends, strings = asked.ends, asked.stop_strings
    context = [] if model.spec.fork == "encoder-decoder" else encoding.ids[row]
    stream = TextStream(model.tokenizer, context, strings)
    said = new[:-1] if new[-1:] and new[-1] in ends else new
    text = "".join(stream.add(token) for token in said) + stream.end()
    return Text(
        row, text, told.reasons[i], len(new), encoding.lost[row],
        None if told.scores is None else told.scores[i],
        None if told.logprobs is None else sum(told.logprobs[i]),
    )  # fmt: skip


def _about(drafted: list[Drafted]) -> str:
    guessed, kept, passes = (sum(getattr(one, name) for one in drafted) for name in ("guessed", "kept", "passes"))
    share = f", {kept / guessed:.0%} of them kept" if guessed else ""
    return f"{guessed} tokens were guessed{share}; the model was asked {passes} times"


def _encode(model: Model, prompts: Sequence[str] | Sequence[Sequence[int]], limit: int | None, on_long: OnLong) -> Encoding:
    """A decoder's prompt is read whole, and without the end that its tokenizer may put behind it."""
    words = [p for p in prompts if isinstance(p, str)]
    if words and model.spec.fork == "encoder-decoder":
        return encode(model, words, limit=limit, on_long=on_long)
    ids = [_opened(model, one.ids) for one in model.tokenizer.encode_many(words)] or [[int(t) for t in p] for p in prompts]
    return Encoding(ids, None, [0] * len(ids))


def _opened(model: Model, ids: list[int]) -> list[int]:
    ends = settings_of(model)[0].ends
    ids = ids[:-1] if len(ids) > 1 and ids[-1] in ends else ids
    start = model.spec.bos_id if model.spec.bos_id is not None else model.tokenizer.special("bos")
    if not ids and start is None:
        raise UsageError("the prompt is empty and this model names no first token: give it a word to begin with")
    return ids or [int(start or 0)]


def _padded(model: Model, lists: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """A decoder's prompts end together; a source begins with its first token."""
    pad = model.spec.pad_id or 0
    if model.spec.fork == "encoder-decoder":
        source = Batch.from_lists(lists, pad)
        return source.tokens, torch.ones_like(source.tokens) if source.keep is None else source.keep
    return left_padded(lists, pad)
