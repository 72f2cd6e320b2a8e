"""One label a text, written out: drawn several times and voted on (Wang et al. 2023), with or without reasoning before it
(Wei et al. 2022; without examples that reason, Kojima et al. 2022)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.models.model import Model
from maskfork.prompt.answers import parse_answer
from maskfork.prompt.ask.asker import DecoderAsker, Moved, examples_of, template_for
from maskfork.prompt.ask.writer import Writer, sureness
from maskfork.prompt.generate.texts import Text
from maskfork.prompt.tasks.description import TaskDescription

_REASONED = "{what}\n{list}\nThink step by step, then write 'Answer:' and one of the labels."
_SAID = re.compile(r"answer\s*(?:is|:)", re.IGNORECASE)
#: tokens beside the longest label, for an answer that says a little more
_SPARE = 8


class VotedAsker(DecoderAsker):
    """`label` is None where no answer names one of the labels, and `unread` counts such answers.

    `confidence` and `agreement` are the share of the drawn answers that give the label; of a single answer, the geometric mean of
    its tokens' probabilities. `reasoning` is the first answer's that gives the label.
    """

    def __init__(self, decoder: str | Path | Model, task: TaskDescription) -> None:
        super().__init__(decoder, task)
        template, reason = template_for(self.model, task), task.how.reason
        if reason:
            asked = _REASONED if task.how.template is None else template.instruction
            end = "" if template.chat or task.how.template is not None else "\n\n"
            answer = template.answer if template.chat or task.how.template is not None else "Reasoning:"
            template = replace(template, instruction=asked + end, answer=answer)
        opening = template.opening(task.label_words, task.what, [label.description for label in task.labels])
        examples, choose = examples_of(task)
        lead = "Answer: " if reason else ""
        words = dict(zip(task.label_names, task.label_words, strict=True))
        shots = [(one.text, one.pair, lead + words[str(one.answer)]) for one in examples]
        stop = () if template.chat else ((template.end,) if reason and template.end else ("\n",))
        longest = max(len(self.model.tokenizer.encode(word, special=False)) for word in task.label_words)
        self.writer = Writer(
            self.model, template, opening, shots, task.how, length=task.how.max_tokens if reason else longest + _SPARE, stop=stop,
            choose=choose,
        )  # fmt: skip
        self.notes = self.writer.notes

    def ask(self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Moved | None = None) -> list[dict[str, Any]]:
        written, lost = self.writer.write(texts, pairs, moved)
        rows = [{**self._row(said), "tokens_lost": tokens} for said, tokens in zip(written, lost, strict=True)]
        unread, count = sum(row["unread"] for row in rows), max(1, self.task.how.samples) * len(rows)
        if unread:
            self.notes.append(f"{unread} of {count} answers name none of the labels, or more than one")
        return rows

    def _row(self, said: list[Text]) -> dict[str, Any]:
        read = [parse_answer(self._answer(text.text), self.task.label_words) for text in said]
        names = self.task.label_names
        votes = np.array([sum(label == c for label in read) for c in range(len(names))])
        row: dict[str, Any] = {"label": None, "confidence": 0.0, "unread": read.count(None)}
        if votes.any():
            best = int(votes.argmax())
            first = said[read.index(best)]
            share = float(votes[best] / len(said)) if len(said) > 1 else sureness(first)
            row |= {"label": names[best], "confidence": round(share, 6)}
            if self.task.how.reason:
                row["reasoning"] = _SAID.split(first.text)[0].strip()
        if len(said) > 1:
            row["agreement"] = row["confidence"]
            row["votes"] = {name: int(count) for name, count in zip(names, votes, strict=True)}
        return row

    def _answer(self, text: str) -> str:
        """What is said after the last "Answer:", where the model was told to reason."""
        return _SAID.split(text)[-1].strip() if self.task.how.reason else text
