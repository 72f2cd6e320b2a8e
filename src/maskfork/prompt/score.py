"""A decoder as a classifier: each label's words scored by their likelihood after the prompt (Brown et al. 2020, section 2.4).

instruction, shots   |  text  |  label words
read once, cached       a row    the last token of the text scores every label's first token at once;
                                 only longer labels read on
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.errors import DataError, ModelError, UsageError
from maskfork.models.device import best_device
from maskfork.models.hub import load
from maskfork.models.model import Model, check_head
from maskfork.prompt.generate.prompts import left_padded
from maskfork.prompt.templates import PLAIN, Shot, Template

#: inputs that say nothing, to learn which labels a model prefers anyway (Zhao et al. 2021, section 4)
CONTENT_FREE = ("N/A", "[MASK]", "")
#: tokens (cache included) of one scoring batch
TOKENS = 8192


class PromptedClassifier:
    """Zero-shot without `shots`, few-shot with them. Probabilities are over the label set.

    `label_words` are what the decoder is to write for each label (the label names themselves where not given);
    `calibrate` divides by the probabilities that content-free inputs get (Zhao et al. 2021).
    """

    def __init__(
        self,
        decoder: str | Path | Model,
        label_names: Sequence[str],
        shots: Sequence[tuple[str, str | None, int]] = (),
        *,
        template: Template | None = None,
        label_words: Sequence[str] | None = None,
        calibrate: bool = False,
    ) -> None:
        self.model = decoder if isinstance(decoder, Model) else load_decoder(decoder)
        check_decoder(self.model)
        check_head(self.model.spec, "causal_lm")
        self.label_names = tuple(label_names)
        self.label_words = tuple(label_words or label_names)
        if len(self.label_words) != len(self.label_names):
            raise UsageError(f"{len(self.label_names)} labels need as many label words, but {len(self.label_words)} were given")
        self.template = template or PLAIN
        self.calibrate = calibrate
        self.notes: list[str] = []
        self._paired = any(pair is not None for _, pair, _ in shots)
        self._tokens = self._label_tokens()
        self._begin = self._beginning()
        self._start = self._begin + self._ids(self.template.opening(self.label_words))
        self.shots = self._fitting([(text, pair, self.label_words[label]) for text, pair, label in shots])
        self._prefix = self._start + [t for s in self.shots for t in self._ids(self.template.shot(s))]
        self._cache: Cache | None = None
        self._prior: np.ndarray | None = None

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Probabilities over the labels, [N, C] float32."""
        return self.probabilities(self.label_logprobs(texts, pairs), calibrate=self.calibrate)

    def predict_one(self, text: str, pair: str | None = None) -> np.ndarray:
        """Probabilities [C] of one text."""
        row: np.ndarray = self.predict([text], None if pair is None else [pair])[0]
        return row

    def probabilities(self, logprobs: np.ndarray, *, calibrate: bool) -> np.ndarray:
        """Label log-likelihoods [N, C] as probabilities, divided by the content-free prior where asked."""
        scores = logprobs - np.log(self.prior()) if calibrate else logprobs
        probs: np.ndarray = _softmax(scores).astype(np.float32)
        return probs

    def prior(self) -> np.ndarray:
        """The label probabilities that inputs without content get, [C], averaged over `CONTENT_FREE`.

        Pairs without content where the texts asked last (or the shots) are pairs.
        """
        if self._prior is None:
            empty = self.label_logprobs(CONTENT_FREE, CONTENT_FREE if self._paired else None)
            # float64: a label of several tokens may start at 1e-30 and still be the answer
            self._prior = _softmax(empty).mean(0).clip(np.finfo(np.float64).tiny)
        return self._prior

    def label_logprobs(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """log p(label words | prompt with this text), [N, C] float64: the sum over a label's tokens."""
        if self._paired != (pairs is not None):
            self._paired, self._prior = pairs is not None, None
        questions = [self._question_ids(t, None if pairs is None else pairs[i]) for i, t in enumerate(texts)]
        out = np.empty((len(questions), len(self.label_names)))
        order = np.argsort([-len(q) for q in questions], kind="stable")
        with torch.inference_mode():
            start = 0
            while start < len(order):
                longest = len(questions[order[start]]) + (0 if self._reads_source else len(self._prefix))
                part = order[start : start + max(1, TOKENS // max(1, longest))]
                out[part] = self._score([questions[i] for i in part])
                start += len(part)
        return out

    def tokens_lost(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[int]:
        """How many tokens of each text do not fit into the context beside the shots."""
        room = self._room()
        asked = [self._ids(self.template.question(t, None if pairs is None else pairs[i])) for i, t in enumerate(texts)]
        return [0 if room is None else max(0, len(ids) - room) for ids in asked]

    @property
    def _reads_source(self) -> bool:
        return self.model.spec.fork == "encoder-decoder"

    def _ids(self, text: str) -> list[int]:
        return self.model.tokenizer.encode(text, special=False)

    def _beginning(self) -> list[int]:
        """The beginning-of-text token where the tokenizer puts one (Llama; BART, on both sides)."""
        own = self.model.spec.bos_id
        bos = self.model.tokenizer.special("bos") if own is None else own
        return [bos] if bos is not None and self.model.tokenizer.encode("", special=True)[:1] == [bos] else []

    def _word_ids(self, word: str) -> list[int]:
        """A label's tokens as they follow the answer's words; at the start of the decoder's text where that writes alone.

        Taken from both together, since some tokenizers put a space of their own before whatever they are given.
        """
        if self._reads_source:
            return self._ids(word)
        stem, whole = self._ids(self.template.answer), self._ids(f"{self.template.answer} {word}")
        return whole[len(stem) :] if whole[: len(stem)] == stem else self._ids(f" {word}")

    def _label_tokens(self) -> list[list[int]]:
        tokens = [self._word_ids(word) for word in self.label_words]
        for word, ids in zip(self.label_words, tokens, strict=True):
            if not ids:
                raise DataError(f"the label '{word}' is no token for this decoder: give it words with --label-words")
        if len({tuple(t) for t in tokens}) < len(tokens):
            raise DataError("two labels are the same tokens for this decoder: give them other words with --label-words")
        return tokens

    def _limit(self) -> int | None:
        return self.model.spec.max_length

    def _room(self) -> int | None:
        """Tokens left for a text."""
        limit = self._limit()
        return None if limit is None else limit - len(self._prefix) - max(map(len, self._tokens))

    def _fitting(self, shots: list[Shot]) -> list[Shot]:
        """The shots that leave half of the context, or 256 tokens where half is more, to the text."""
        limit = self._limit()
        if limit is None:
            return shots
        room = limit - len(self._start) - min(limit // 2, 256)
        kept: list[Shot] = []
        for shot in shots:
            cost = len(self._ids(self.template.shot(shot)))
            if cost > room:
                break
            kept.append(shot)
            room -= cost
        if len(kept) < len(shots):
            self.notes.append(f"{len(kept)} of {len(shots)} examples fit into the context of {limit} tokens")
        return kept

    def _question_ids(self, text: str, pair: str | None) -> list[int]:
        """A text's tokens; a text that does not fit loses its end, its answer line stays."""
        ids = self._ids(self.template.question(text, pair))
        room = self._room()
        if room is None or len(ids) <= room:
            return ids
        tail = self._ids("\n" + self.template.answer)
        if room <= len(tail):
            raise DataError(self._full())
        return ids[: room - len(tail)] + tail

    def _full(self) -> str:
        if self.shots:
            return "the examples leave no room for a text in this decoder's context: use fewer"
        return (
            f"the instruction with its {len(self.label_names)} labels takes {len(self._start)} of this decoder's "
            f"{self._limit()} tokens and leaves no room for a text: use a decoder with a longer context"
        )

    def _score(self, questions: list[list[int]]) -> np.ndarray:
        """[n, C] for one batch."""
        cache, logits = self._read(questions)
        firsts = logits.float().log_softmax(-1)
        out = firsts[:, [ids[0] for ids in self._tokens]].double()
        longer = [c for c, ids in enumerate(self._tokens) if len(ids) > 1]
        for c in longer:
            ids = self._tokens[c]
            rest = torch.tensor([ids[:-1]], device=self.model.device).expand(len(questions), -1)
            more = self._continue(cache.repeat(1), rest).float().log_softmax(-1)
            wanted = torch.tensor(ids[1:], device=self.model.device)
            out[:, c] += more.gather(-1, wanted[None, :, None].expand(len(questions), -1, 1)).squeeze(-1).sum(-1).double()
        scores: np.ndarray = out.cpu().numpy()
        return scores

    def _read(self, questions: list[list[int]]) -> tuple[Cache, Tensor]:
        """The cache after the prompts, and the logits [n, V] of what comes next."""
        if self._reads_source:
            end = self.model.spec.eos_id
            closing = [end] if isinstance(end, int) else []
            source = Batch.from_lists([self._prefix + q + closing for q in questions], self.model.spec.pad_id or 0)
            start = [self.model.spec.decoder_start_id or 0]
            start += [t for t in self._begin if t != start[0]]
            target = torch.tensor([start], device=self.model.device).expand(len(questions), -1)
            cache = Cache()
            out = self.model(source.to(self.model.device), decoder_input_ids=target, cache=cache)
            return cache, out.logits[:, -1]
        cache = self._shared().repeat(len(questions))
        batch = Batch.padded(*left_padded(questions, self.model.spec.pad_id or 0)).to(self.model.device)
        places = torch.arange(1, len(questions) + 1, device=self.model.device) * batch.shape[1] - 1
        return cache, self.model(batch, cache=cache, logits_at=places).logits

    def _continue(self, cache: Cache, tokens: Tensor) -> Tensor:
        out: Tensor = (
            self.model(decoder_input_ids=tokens, cache=cache) if self._reads_source else self.model(tokens, cache=cache)
        ).logits
        return out

    def _shared(self) -> Cache:
        """The instruction and the shots, read once for all texts."""
        if self._cache is None:
            self._cache = Cache()
            if self._prefix:
                last = torch.tensor([len(self._prefix) - 1], device=self.model.device)
                self.model(torch.tensor([self._prefix], device=self.model.device), cache=self._cache, logits_at=last)
        return self._cache


def _softmax(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores - scores.max(-1, keepdims=True))
    shares: np.ndarray = odds / odds.sum(-1, keepdims=True)
    return shares


def load_decoder(where: str | Path) -> Model:
    """A model that continues text. Raises UsageError on an encoder, ModelError where the folder has no words' head."""
    model = load(where).to(best_device())
    check_decoder(model)
    if model.spec.head is None or model.spec.head.kind != "causal_lm":
        model = load(where, "causal_lm").to(best_device())
        if any(note.startswith("started ") for note in model.notes):
            raise ModelError(f"{where} has no language-model head, so it cannot be prompted: give the model with its lm_head")
    return model


def check_decoder(model: Model) -> None:
    """Raises UsageError where a model cannot be prompted."""
    if not model.spec.continues_text:
        raise UsageError(
            f"{model.spec.family} is an encoder: every token sees what follows, so it cannot continue a prompt; "
            "give a decoder (gpt2, llama, ...) to --decoder and this model to --encoder"
        )
