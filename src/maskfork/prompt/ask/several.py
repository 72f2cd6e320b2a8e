"""Any number of labels a text: for each label, whether it applies, by the likelihood of yes and no.

Text: ...            read once a text; the questions about its labels are branches of it
Label: joy
Applies: yes | no
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.models.model import Model
from maskfork.prompt.ask.asker import DecoderAsker, Moved, examples_of, template_for
from maskfork.prompt.score import PromptedClassifier
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.templates import Template

_ASKED = "{what}\nSay of each label whether it applies: yes or no.\n{list}"
_ANSWERS = ("no", "yes")


class SeveralAsker(DecoderAsker):
    """`probabilities` are those of yes, each label's own; labels of more than a half are given. `confidence` is that of the
    decision that is least sure."""

    def __init__(self, decoder: str | Path | Model, task: TaskDescription) -> None:
        super().__init__(decoder, task)
        base = template_for(self.model, task)
        asked = base.instruction if task.how.template is not None else _ASKED + ("" if base.chat else "\n\n")
        told = Template(instruction=asked).opening(task.label_words, task.what, [label.description for label in task.labels])
        template = replace(
            base,
            instruction=told.replace("{", "{{").replace("}", "}}"),
            block_pair=base.block.rstrip("\n") + "\nLabel: {pair}\n",
            answer="Applies:" if not base.chat else "Does the label apply? Answer yes or no.",
        )
        self.classifier = PromptedClassifier(
            self.model, _ANSWERS, self._shots(), template=template, calibrate=task.how.calibrate, orders=task.how.orders,
            seed=task.how.seed,
        )  # fmt: skip
        self.notes += self.classifier.notes

    @property
    def rounds(self) -> int:
        return len(self.task.labels) * len(self.classifier.prompts.orders)

    def ask(self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Moved | None = None) -> list[dict[str, Any]]:
        whole = [_whole(text, None if pairs is None else pairs[i]) for i, text in enumerate(texts)]
        words = self.task.label_words
        found = self.classifier.ask([text for text in whole for _ in words], list(words) * len(whole), moved)
        yes_NC = found.probs[:, 1].reshape(len(whole), len(words))
        lost_NC = np.array(found.tokens_lost, dtype=np.int64).reshape(len(whole), len(words))
        names = self.task.label_names
        return [
            {
                "labels": [name for name, p in zip(names, yes, strict=True) if p > 0.5],
                "confidence": round(float(np.maximum(yes, 1 - yes).min()), 6),
                "probabilities": {name: round(float(p), 6) for name, p in zip(names, yes, strict=True)},
                "tokens_lost": int(lost.max()),
            }
            for yes, lost in zip(yes_NC, lost_NC, strict=True)
        ]

    def _shots(self) -> list[tuple[str, str | None, int]]:
        """Of each example one label that applies and one that does not, as far as there are."""
        examples, _ = examples_of(replace(self.task, how=self.task.how.but(select="given")) if self._own else self.task)
        rng = np.random.default_rng(self.task.how.seed)
        shots: list[tuple[str, str | None, int]] = []
        for one in examples:
            for answer in rng.permutation(2).tolist():
                fit = [label.said for label in self.task.labels if (label.name in one.answer) == bool(answer)]
                if fit:
                    shots.append((_whole(one.text, one.pair), str(rng.choice(fit)), answer))
        return shots

    @property
    def _own(self) -> bool:
        return self.task.how.select == "nearest"


def _whole(text: str, pair: str | None) -> str:
    return text if pair is None else f"{text} / {pair}"
