"""Tagging and question answering as transformers' examples run_ner and run_qa do it: the Trainer, its collator, its decoding.

Rows are shuffled and padded to the longest of their batch, as there. The recipe is the examples'; the words are ours.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
)

from maskfork.learn.tasks.answer.examples import Questions
from maskfork.learn.tasks.answer.settings import AnswerSettings
from maskfork.learn.tasks.tag.examples import Tagged
from maskfork.learn.train.settings import FineTuneSettings
from support.trainer import Clock, arguments

IGNORED = -100


class Peer:
    """A model with its encoded rows; `train` gives seconds of the loop and of the steps after the first."""

    def __init__(self, model: Any, tokenizer: Any, rows: list[dict[str, Any]], collate: Any) -> None:
        self.model, self.tokenizer, self.rows, self.collate = model, tokenizer, rows, collate

    def train(self, settings: FineTuneSettings, seed: int, *, bf16: bool, steps: int) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            args = arguments(folder, settings, len(self.rows), seed, bf16=bf16, steps=steps)
            args.train_sampling_strategy = "random"  # the examples' own
            clock = Clock()
            trainer = Trainer(model=self.model, args=args, train_dataset=self.rows, data_collator=self.collate, callbacks=[clock])
            trainer.remove_callback(PrinterCallback)
            began = time.perf_counter()
            trainer.train()
            return time.perf_counter() - began, clock.ends[-1] - clock.ends[0]

    def logits(self, rows: list[dict[str, Any]], pads: Any) -> list[Any]:
        """One output a row, float32, longest first."""
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]["input_ids"]))
        found: list[Any] = [None] * len(rows)
        self.model.eval()
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                part = order[start : start + 32]
                out = self.model(**pads([rows[i] for i in part]))
                for k, i in enumerate(part):
                    found[i] = {name: value[k].float().numpy() for name, value in out.items() if name != "loss"}
        return found


def words_and_tags(data: Tagged) -> list[tuple[list[str], list[str]]]:
    """Words and IOB2 tags of each text, as the example reads them."""
    found = []
    for text, words, spans in zip(data.texts, data.words, data.spans, strict=True):
        tags = ["O"] * len(words)
        for span in spans:
            inside = [i for i, (a, b) in enumerate(words) if a < span.end and span.start < b]
            for i in inside:
                tags[i] = f"{'B' if i == inside[0] else 'I'}-{span.label}"
        found.append(([text[a:b] for a, b in words], tags))
    return found


def tagger(base: Path, data: Tagged, names: tuple[str, ...], seed: int) -> Peer:
    """run_ner: a word's label on its first token, the others ignored."""
    transformers.set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base)
    index = {name: i for i, name in enumerate(names)}
    model = AutoModelForTokenClassification.from_pretrained(base, id2label=dict(enumerate(names)), label2id=index)
    rows = []
    for words, tags in words_and_tags(data):
        given = tokenizer(words, is_split_into_words=True, truncation=True, max_length=512)
        labels, before = [], None
        for word in given.word_ids():
            labels.append(IGNORED if word is None or word == before else index[tags[word]])
            before = word
        rows.append({**given, "labels": labels})
    return Peer(model, tokenizer, rows, DataCollatorForTokenClassification(tokenizer))


def tags_of(peer: Peer, data: Tagged, names: tuple[str, ...]) -> list[list[str]]:
    """The likeliest tag of each word's first token; O where a word has none (the example leaves such words out)."""
    words = [row for row, _ in words_and_tags(data)]
    given = [peer.tokenizer(row, is_split_into_words=True, truncation=True, max_length=512) for row in words]
    pads = DataCollatorWithPadding(peer.tokenizer)
    found = []
    for row, encoded, out in zip(words, given, peer.logits([dict(g) for g in given], pads), strict=True):
        tags = ["O"] * len(row)
        seen: set[int] = set()
        for place, word in enumerate(encoded.word_ids()):
            if word is not None and word not in seen:
                seen.add(word)
                tags[word] = names[int(out["logits"][place].argmax())]
        found.append(tags)
    return found


def answerer(base: Path, data: Questions, settings: AnswerSettings, seed: int) -> Peer:
    """run_qa: windows of the context, the answer's first and last token, the first token where a window has no answer."""
    transformers.set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForQuestionAnswering.from_pretrained(base)
    given = _windows(tokenizer, data, settings)
    rows = []
    for i, text in enumerate(given["overflow_to_sample_mapping"]):
        offsets, sides = given["offset_mapping"][i], given.sequence_ids(i)
        start = end = 0
        if data.answers[text]:
            answer, at = data.answers[text][0]
            own = [k for k, side in enumerate(sides) if side == 1]
            if offsets[own[0]][0] <= at and offsets[own[-1]][1] >= at + len(answer):
                start = max(k for k in own if offsets[k][0] <= at)
                end = min(k for k in own if offsets[k][1] >= at + len(answer))
        rows.append({**_inputs(given, i), "start_positions": start, "end_positions": end})
    return Peer(model, tokenizer, rows, DataCollatorWithPadding(tokenizer))


def answers_of(peer: Peer, data: Questions, settings: AnswerSettings) -> list[str]:
    """run_qa's decoding: the 20 best starts and ends of each window, the best sum over all windows."""
    given = _windows(peer.tokenizer, data, settings)
    rows = [_inputs(given, i) for i in range(len(given["input_ids"]))]
    outs = peer.logits(rows, DataCollatorWithPadding(peer.tokenizer))
    best = [(-np.inf, "")] * len(data)
    null = [np.inf] * len(data)
    for i, text in enumerate(given["overflow_to_sample_mapping"]):
        starts, ends = outs[i]["start_logits"], outs[i]["end_logits"]
        null[text] = min(null[text], float(starts[0] + ends[0]))
        offsets, sides = given["offset_mapping"][i], given.sequence_ids(i)
        count = len(sides)
        for a in np.argsort(-starts[:count])[:20].tolist():
            for b in np.argsort(-ends[:count])[:20].tolist():
                if sides[a] == sides[b] == 1 and a <= b < a + settings.max_answer:
                    score = float(starts[a] + ends[b])
                    if score > best[text][0]:
                        best[text] = (score, data.contexts[text][offsets[a][0] : offsets[b][1]])
    if not data.with_no_answer:
        return [text for _, text in best]
    return ["" if none > score else text for (score, text), none in zip(best, null, strict=True)]


def _windows(tokenizer: Any, data: Questions, settings: AnswerSettings) -> Any:
    return tokenizer(
        [question.lstrip() for question in data.questions], list(data.contexts), truncation="only_second",
        max_length=settings.max_length, stride=settings.stride, return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip


def _inputs(given: Any, i: int) -> dict[str, Any]:
    return {name: given[name][i] for name in ("input_ids", "token_type_ids", "attention_mask")}
