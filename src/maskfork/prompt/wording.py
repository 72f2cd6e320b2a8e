"""Whole prompts of one model, as text and as tokens, and what all of them begin with.

A prompt is tokenised as one text, as the model would meet it; what two prompts share is found in their tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from maskfork.errors import DataError
from maskfork.models.model import Model
from maskfork.prompt.chat import Message, render
from maskfork.prompt.generate.prompts import shared
from maskfork.prompt.scoring.trie import one_begins_another
from maskfork.prompt.templates import Shot, Template

#: texts so unlike each other that what prompts with them share is shared by all
_PROBES = ("", "a", "Zu 9", ".", "é", "[x")
_MARK = "where77the33text"
#: shared tokens that are tokenised again with each text, so that no token is cut at the seam
_SEAM = 24


class Wording:
    """A template in the words of one model. `opening` is the instruction with its fields filled in."""

    def __init__(self, model: Model, template: Template, opening: str) -> None:
        self.model, self.template, self.opening = model, template, opening
        self._system = bool(opening) and template.chat and self._takes_system()

    def text(self, shots: Sequence[Shot], text: str, pair: str | None = None) -> str:
        """A whole prompt up to where the answer is written."""
        if not self.template.chat:
            return self.opening + "".join(map(self.template.shot, shots)) + self.template.question(text, pair)
        said: list[Message] = [{"role": "system", "content": self.opening}] if self._system else []
        for asked, other, answer in shots:
            said.append({"role": "user", "content": self.template.question(asked, other)})
            said.append({"role": "assistant", "content": answer})
        said.append({"role": "user", "content": self.template.question(text, pair)})
        if self.opening and not self._system:
            said[0] = {"role": "user", "content": f"{self.opening}\n\n{said[0]['content']}"}
        return render(self.model.tokenizer, said, answer_next=True)

    def ids(self, prompts: Sequence[str]) -> list[list[int]]:
        """Tokens of whole prompts; a chat template writes its first token itself."""
        begin = [] if self.template.chat else beginning(self.model)
        return [begin + one.ids for one in self.model.tokenizer.encode_many(prompts, special=False)]

    def label_ids(self, words: Sequence[str]) -> list[list[int]]:
        """Each label's tokens as they follow a prompt (at the start of the decoder's text where that writes alone).

        Where one label's tokens begin another's, every label ends with the first token of what follows an answer: `good` is
        then "good and no more", which `good film` is not. Else the labels exclude each other by themselves and no end is asked
        for. Raises DataError for labels that this tokenizer cannot tell apart.
        """
        found = [self._after(self._lead, self.template.said(word)) for word in words]
        for word, ids in zip(words, found, strict=True):
            if not ids:
                raise DataError(f"the label '{word}' is no token for this decoder: give it words with --label-words")
        if len({tuple(ids) for ids in found}) < len(found):
            raise DataError("two labels are the same tokens for this decoder: give them other words with --label-words")
        return [ids + self._end(word) for ids, word in zip(found, words, strict=True)] if one_begins_another(found) else found

    def tail(self) -> list[int]:
        """Tokens of what stands behind the text in a prompt."""
        return self.model.tokenizer.encode(self.text((), _MARK).rsplit(_MARK, 1)[-1], special=False)

    def shot_tokens(self, shots: Sequence[Shot]) -> list[int]:
        """How many tokens each shot adds to a prompt."""
        bare, *more = map(len, self.ids([self.text((), ""), *(self.text((shot,), "") for shot in shots)]))
        return [tokens - bare for tokens in more]

    @property
    def _reads_source(self) -> bool:
        return self.model.spec.fork == "encoder-decoder"

    @property
    def _lead(self) -> str:
        """What stands right before an answer in the text that the decoder goes on with."""
        if self._reads_source:
            return ""
        return self.text((), _MARK).rsplit(_MARK, 1)[-1] if self.template.chat else self.template.answer

    def _after(self, lead: str, said: str) -> list[int]:
        """Taken from both together, since some tokenizers put a space of their own before whatever they are given."""
        encode = self.model.tokenizer.encode
        if self._reads_source:
            return encode(said.strip(), special=False)
        stem, whole = encode(lead, special=False), encode(lead + said, special=False)
        return whole[len(stem) :] if whole[: len(stem)] == stem else encode(said, special=False)

    def _end(self, word: str) -> list[int]:
        """The token that says that an answer is over."""
        stop = self.model.spec.eos_id if isinstance(self.model.spec.eos_id, int) else self.model.tokenizer.special("eos")
        if not self._reads_source and not self.template.chat and self.template.end:
            said = self.template.said(word)
            known, whole = self._after(self._lead, said), self._after(self._lead, said + self.template.end)
            if whole[: len(known)] == known and len(whole) > len(known):
                return whole[len(known) : len(known) + 1]
            return self.model.tokenizer.encode(self.template.end, special=False)[:1]
        if self.template.chat:
            follows = self.text([(_MARK, None, _MARK)], "").rsplit(_MARK, 1)[-1]
            return self.model.tokenizer.encode(follows, special=False)[:1]
        if stop is None:
            raise DataError(f"the label '{word}' begins another one and nothing ends an answer here: give them other words")
        return [stop]

    def _takes_system(self) -> bool:
        """Whether the model's chat template knows a system's message."""
        asked: list[Message] = [{"role": "system", "content": _MARK}, {"role": "user", "content": "a"}]
        try:
            return _MARK in render(self.model.tokenizer, asked, answer_next=True)
        except DataError:
            return False


class Shared:
    """Prompts that differ in their last text alone: `prefix` are the tokens that all of them begin with."""

    def __init__(self, wording: Wording, shots: Sequence[Shot], *, paired: bool = False) -> None:
        self.wording, self.shots = wording, list(shots)
        probes = [wording.text(shots, text, text if paired else None) for text in _PROBES]
        tokens = wording.ids(probes)
        self.prefix = reduce(lambda a, b: a[: shared(a, b)], [ids[:-1] for ids in tokens])
        self._kept, self._from = self._seam(probes, tokens)

    def ids(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[list[int]]:
        """Tokens of the prompts with these texts; the shared part is tokenised once, but for its last tokens."""
        seconds = pairs if pairs is not None else [None] * len(texts)
        prompts = [self.wording.text(self.shots, text, pair) for text, pair in zip(texts, seconds, strict=True)]
        if not self._from:
            return self.wording.ids(prompts)
        head = self.prefix[: self._kept]
        rests = self.wording.model.tokenizer.encode_many([prompt[self._from :] for prompt in prompts], special=False)
        return [head + rest.ids for rest in rests]

    def _seam(self, probes: list[str], tokens: list[list[int]]) -> tuple[int, int]:
        """(tokens kept, character to go on from), where that gives every probe's tokens again; else all is tokenised."""
        own = len(tokens[0]) - len(self.wording.model.tokenizer.encode(probes[0], special=False))  # the first token of a text
        kept = len(self.prefix) - _SEAM
        if kept <= own:
            return 0, 0
        at = self.wording.model.tokenizer.offsets(probes[0], special=False)[kept - own][0]
        rests = self.wording.model.tokenizer.encode_many([probe[at:] for probe in probes], special=False)
        same = all(ids[kept:] == rest.ids for ids, rest in zip(tokens, rests, strict=True))
        return (kept, at) if same else (0, 0)


def beginning(model: Model) -> list[int]:
    """The beginning-of-text token where the tokenizer puts one (Llama; BART, on both sides)."""
    own = model.spec.bos_id
    bos = model.tokenizer.special("bos") if own is None else own
    return [bos] if bos is not None and model.tokenizer.encode("", special=True)[:1] == [bos] else []
