"""A decoder as a classifier: each label's words scored by their likelihood after the prompt (Brown et al. 2020, section 2.4).

instruction, shots  |  text  |  label words        `scoring` reads what all prompts share once, and the rest as one tree
╰─ in O orders, the probabilities averaged         the likelihoods are those of one whole forward for each text and label
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskfork.errors import ModelError, UsageError
from maskfork.models.model import Model, check_head
from maskfork.models.runtimes.writer import open_writer
from maskfork.prompt.generate.reads import torch_note, way_of
from maskfork.prompt.prompts import Choose, Prompts
from maskfork.prompt.scoring import LabelTrie, Reader
from maskfork.prompt.scoring.reader import Scores
from maskfork.prompt.templates import DESCRIBED, PLAIN, TASK, Shot, Template
from maskfork.prompt.wording import Wording, beginning

#: inputs that say nothing, to learn which labels a model prefers anyway (Zhao et al. 2021, section 4)
CONTENT_FREE = ("N/A", "[MASK]", "")


@dataclass(frozen=True, eq=False)
class Asked:
    """Probabilities [N, C]; `agreement` [N] is the share of orders that answer as their mean does, NaN for a single order;
    `tokens_lost` [N] of each text."""

    probs: np.ndarray
    agreement: np.ndarray
    tokens_lost: list[int]


class PromptedClassifier:
    """Zero-shot without `shots`, few-shot with them. Probabilities are over the label set.

    `label_words` are what the decoder is to write for each label (the label names themselves where not given); `what` says what
    is asked and `descriptions` when each label applies. `calibrate` divides by the probabilities that content-free inputs get
    (Zhao et al. 2021). With `orders` above 1 the examples are put in as many orders (the first as given, the others drawn by
    `seed`) and the probabilities averaged (order matters: Lu et al. 2022). `choose` picks examples of its own for each text out
    of `shots`; they are then read for every text.
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
        what: str = "",
        descriptions: Sequence[str | None] | None = None,
        orders: int = 1,
        seed: int = 0,
        choose: Choose | None = None,
    ) -> None:
        self.model = decoder if isinstance(decoder, Model) else load_decoder(decoder)
        check_decoder(self.model)
        check_head(self.model.spec, "causal_lm")
        self.label_names = tuple(label_names)
        self.label_words = tuple(label_words or label_names)
        if len(self.label_words) != len(self.label_names):
            raise UsageError(f"{len(self.label_names)} labels need as many label words, but {len(self.label_words)} were given")
        described = descriptions is not None and any(descriptions)
        self.template = template or ((DESCRIBED if described else TASK) if what else PLAIN)
        self.calibrate = calibrate
        self._paired = any(pair is not None for _, pair, _ in shots)
        self.wording = Wording(self.model, self.template, self.template.opening(self.label_words, what, descriptions))
        self.label_tokens = self.wording.label_ids(self.label_words)
        self._trie = LabelTrie.of(self.label_tokens)
        said: list[Shot] = [(text, pair, self.label_words[label]) for text, pair, label in shots]
        self.prompts = Prompts(self.wording, said, answer=self._trie.longest, orders=orders, seed=seed, choose=choose)
        self._notes = torch_note(self.model, "the likelihood of labels") if way_of(self.model)[0] == "llama.cpp" else []
        self._readers: dict[int, Reader] = {}
        self._priors: np.ndarray | None = None

    @property
    def shots(self) -> list[Shot]:
        """The examples that fit (with `choose`, those that are chosen from)."""
        return self.prompts.shots

    @property
    def notes(self) -> list[str]:
        """What was left out, and who reads where the folder names somebody else."""
        return [*self.prompts.notes, *self._notes]

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Probabilities over the labels, [N, C] float32."""
        probs: np.ndarray = self._each(texts, pairs, None).mean(0).astype(np.float32)
        return probs

    def predict_one(self, text: str, pair: str | None = None) -> np.ndarray:
        """Probabilities [C] of one text."""
        row: np.ndarray = self.predict([text], None if pair is None else [pair])[0]
        return row

    def ask(self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Callable[[int], None] | None = None) -> Asked:
        """Probabilities, and how far the orders agree; `moved` hears how many prompts are done, each order's counted."""
        per_order = self._each(texts, pairs, moved)
        probs = per_order.mean(0)
        same = (per_order.argmax(-1) == probs.argmax(-1)).mean(0)
        agreement = same if len(per_order) > 1 else np.full(len(texts), np.nan)
        return Asked(probs.astype(np.float32), agreement, self.tokens_lost(texts, pairs))

    def label_logprobs(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """log p(label words | prompt with this text), [N, C] float64: the sum over a label's tokens; of several orders, of
        their mean."""
        found = self.by_order(texts, pairs)
        mean: np.ndarray = np.logaddexp.reduce(found, axis=0) - np.log(len(found))
        return mean

    def by_order(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """log p(label words | prompt) in each order of the examples, [O, N, C]."""
        self._ask_for(pairs)
        orders = range(len(self.prompts.orders))
        return np.stack([self._read(self.prompts.of(texts, pairs, order), order, moved).logprobs for order in orders])

    def read(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Callable[[int], None] | None = None
    ) -> Scores:
        """Likelihoods in the first order of the examples, and which labels greedy decoding would write."""
        self._ask_for(pairs)
        return self._read(self.prompts.of(texts, pairs), 0, moved)

    def priors(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """What inputs without content get in these texts' prompts: [O, 1, C], or [O, N, C] where each has its own examples."""
        return self._prior_by_order()[:, None] if self.prompts.choose is None else self._own_priors(texts, pairs)

    def probabilities(self, logprobs: np.ndarray, *, calibrate: bool) -> np.ndarray:
        """Label log-likelihoods [N, C] as probabilities, divided by the content-free prior where asked."""
        return calibrated(logprobs, self.prior() if calibrate else None).astype(np.float32)

    def prior(self) -> np.ndarray:
        """The label probabilities that inputs without content get, [C], averaged over `CONTENT_FREE` and the orders.

        Pairs without content where the texts asked last (or the shots) are pairs.
        """
        mean: np.ndarray = self._prior_by_order().mean(0)
        return mean

    def _each(self, texts: Sequence[str], pairs: Sequence[str] | None, moved: Callable[[int], None] | None) -> np.ndarray:
        """Probabilities in each order, [O, N, C]."""
        logprobs = self.by_order(texts, pairs, moved)
        return calibrated(logprobs, self.priors(texts, pairs) if self.calibrate else None)

    def _prior_by_order(self) -> np.ndarray:
        """[O, C]"""
        if self._priors is None:
            empty = self.by_order(CONTENT_FREE, CONTENT_FREE if self._paired else None)
            self._priors = _mean_shares(empty, axis=1)
        return self._priors

    def tokens_lost(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[int]:
        """How many tokens of each text do not fit into the context beside the shots."""
        return self.prompts.lost(texts, pairs)

    def _own_priors(self, texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        """Priors of prompts with examples of their own, which are read once for all inputs of a text, [O, N, C]."""
        chosen = [rows for rows in self.prompts.chosen(texts, pairs) for _ in CONTENT_FREE]
        empty = [(say, say if pairs is not None else None) for say in CONTENT_FREE] * len(texts)
        found = []
        for order in range(len(self.prompts.orders)):
            logprobs = self._read(self.prompts.with_own(chosen, empty, order), order, None).logprobs
            found.append(_mean_shares(logprobs.reshape(len(texts), len(CONTENT_FREE), -1), axis=1))
        return np.stack(found)

    def _ask_for(self, pairs: Sequence[str] | None) -> None:
        """Priors are those of texts, or of pairs."""
        if self._paired != (pairs is not None):
            self._paired, self._priors = pairs is not None, None

    def _read(self, ids: list[list[int]], order: int, moved: Callable[[int], None] | None) -> Scores:
        cut = [self.prompts.cut(prompt) for prompt in ids]
        # a reader keeps what the prompts of its order share
        reader = self._readers.setdefault(order, Reader(self.model, self._trie, self._begin()))
        return reader.read(cut, self.prompts.beginning(cut, order, paired=self._paired), moved)

    def _begin(self) -> list[int]:
        """What an encoder-decoder's own text begins with."""
        if self.model.spec.fork != "encoder-decoder":
            return []
        start = self.model.spec.decoder_start_id or 0
        return [start, *(token for token in beginning(self.model) if token != start)]


def calibrated(logprobs: np.ndarray, priors: np.ndarray | None) -> np.ndarray:
    """Label log-likelihoods [..., C] as probabilities, divided by what inputs without content get."""
    return _softmax(logprobs if priors is None else logprobs - np.log(priors))


def _mean_shares(logprobs: np.ndarray, axis: int) -> np.ndarray:
    # float64: a label of several tokens may start at 1e-30 and still be the answer
    shares: np.ndarray = _softmax(logprobs).mean(axis).clip(np.finfo(np.float64).tiny)
    return shares


def _softmax(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores - scores.max(-1, keepdims=True))
    shares: np.ndarray = odds / odds.sum(-1, keepdims=True)
    return shares


def load_decoder(where: str | Path) -> Model:
    """A model that continues text. Raises UsageError on an encoder, ModelError where the folder has no words' head."""
    model = open_writer(where)
    check_decoder(model)
    if model.spec.head is None or model.spec.head.kind != "causal_lm":
        model = open_writer(where, "causal_lm")
        if any(note.startswith("started ") for note in model.notes):
            raise ModelError(f"{where} has no language-model head, so it cannot be prompted: give the model with its lm_head")
    return model


def check_decoder(model: Model) -> None:
    """Raises UsageError where a model cannot be prompted."""
    if not model.spec.continues_text:
        raise UsageError(
            f"{model.spec.family} is an encoder: every token sees what follows, so it cannot continue a prompt; "
            "give a decoder (gpt2, llama, ...), and fine-tune this model with `maskfork train`"
        )
