"""A tagger of slots with a second head that names the intent from the mean of the text's tokens (after Chen et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.dropout import Dropout
from maskfork.errors import ModelError
from maskfork.learn.tasks.common.contract import Answer, Scores, Trained
from maskfork.learn.tasks.common.tokenwise import outputs
from maskfork.learn.tasks.intent_slots.commands import Commands
from maskfork.learn.tasks.tag.answers import Found
from maskfork.learn.tasks.tag.prepare import Prepared, log_softmax, prepare
from maskfork.learn.tasks.tag.scoring import span_scores_of
from maskfork.learn.tasks.tag.trained import Tagger, given_text
from maskfork.learn.train.run import Record
from maskfork.measure.bootstrap import bootstrap_interval, share
from maskfork.models.about import describe, said_of
from maskfork.models.formats.readable import save_tensors
from maskfork.models.heads import pool
from maskfork.models.model import Model, initialise_tensor

HEAD_FILE = "intent.safetensors"


class Joint(nn.Module):
    """`model` with a slot head, and `out`: the intent's logits of the mean of a window's states."""

    def __init__(self, model: Model, intents: int, seed: int = 0) -> None:
        super().__init__()
        self.model = model
        self.drop = Dropout(0.1)
        self.out = nn.Linear(model.spec.hidden_size, intents)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.out.named_parameters():
            initialise_tensor(name, parameter, model.spec.initializer_range, generator, model.spec)
        self.to(model.device)

    def intents(self, states_1TE: Tensor, batch: Batch) -> Tensor:
        """[N, I] of the N sequences of a packed batch."""
        logits: Tensor = self.out(self.drop(pool(states_1TE, batch, "mean")))
        return logits

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(slot logits [T, C], intent logits [N, I])"""
        out = self.model(batch)
        return out.logits[0], self.intents(out.last_hidden_state, batch)


class Understood(NamedTuple):
    """One command: its intent with the probability of each, and its slots."""

    probs: npt.NDArray[np.float64]
    slots: list[Found]


@dataclass
class Understander(Trained):
    """Names a command's intent and finds its slots."""

    task: ClassVar[str] = "intent-slots"
    joint: Joint
    tagger: Tagger
    intents: tuple[str, ...]
    record: Record | None = None
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def open(folder: str | Path) -> Understander:
        """A folder saved by `save`. Raises ModelError."""
        said, file = said_of(Path(folder)), Path(folder) / HEAD_FILE
        if said.get("kind") != Understander.task or not file.is_file():
            raise ModelError(f"{folder} has no intents: train it with `maskfork train intent-slots`.")
        tagger = Tagger.open(folder)
        joint = Joint(tagger.model, len(said["intents"]))
        joint.out.load_state_dict(load_file(file))
        joint.eval()
        return Understander(joint, tagger, tuple(said["intents"]), notes=list(said.get("notes", [])))

    def save(self, folder: Path) -> Path:
        """The slot tagger as a token classifier of the Hub's layout, the intent's layer beside it."""
        self.tagger.model.save(folder)
        weights = {name: t.detach().cpu().contiguous() for name, t in self.joint.out.state_dict().items()}
        save_tensors(weights, folder / HEAD_FILE)
        about = {"kind": self.task, "intents": list(self.intents), **self.tagger.about(), "notes": self.notes}
        describe(folder, about)
        return folder

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Of a row with `text` or `tokens`: the `intent`, its `score`, and the `slots` {start, end, label, text, score}."""
        given = [given_text(row, number) for number, row in enumerate(rows, 1)]
        words = [places for _, places, _ in given]
        prepared = prepare(self.tagger.model, [text for text, _, _ in given], words, self.tagger.how)
        answers: list[Answer] = []
        for i, ((text, _, cut), found) in enumerate(zip(given, self.understand(prepared, words), strict=True)):
            best = int(found.probs.argmax())
            slots = [{**f._asdict(), "text": text[f.start : f.end]} for f in found.slots]
            answer: Answer = {"intent": self.intents[best], "score": float(found.probs[best]), "slots": slots}
            answers.append({**answer, "tokens_lost": prepared.windows.lost[i], **({"text": text} if cut else {})})
        return answers

    def understand(self, prepared: Prepared, words: Sequence[Sequence[tuple[int, int]]]) -> list[Understood]:
        """Every command, in one pass; of a text in several windows the intents' mean."""
        rows, probs_NI = self.heard(prepared)
        slots = self.tagger.find(prepared, words, rows)
        return [Understood(probs, found) for probs, found in zip(probs_NI, slots, strict=True)]

    def heard(self, prepared: Prepared) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.float64]]:
        """(slot logits of each window, probabilities [N, I] of each text's intents)"""
        encoding = prepared.windows.encoding
        rows: list[npt.NDArray[np.float32]] = [np.zeros((0, 0), dtype=np.float32)] * len(encoding.ids)
        intents = np.zeros((len(encoding.ids), len(self.intents)))
        for part, batch, out in outputs(self.tagger.model, encoding):
            assert out.logits is not None
            values = out.logits[0].float().cpu().numpy()
            intents[part] = self.joint.intents(out.last_hidden_state, batch).float().cpu().numpy()
            for row, (_, start, n) in zip(part.tolist(), batch.sequences, strict=True):
                rows[row] = values[start : start + n]
        return rows, np.stack([np.exp(log_softmax(intents[own])).mean(0) for own in prepared.windows.of_text()])

    def evaluate(self, examples: Commands) -> Scores:
        """Accuracy of intents, strict F1 of slots, and the share of commands with both right, by command."""
        prepared = prepare(self.tagger.model, examples.tagged.texts, examples.tagged.words, self.tagger.how)
        found = self.understand(prepared, examples.tagged.words)
        slots = [[f.span for f in one.slots] for one in found]
        right = np.array([self.intents[int(u.probs.argmax())] == i for u, i in zip(found, examples.intents, strict=True)])
        both = right & np.array([set(a) == set(b) for a, b in zip(slots, examples.tagged.spans, strict=True)])
        spans = span_scores_of(examples.tagged.spans, slots)
        values = {
            "exact": _share(both),
            "intent_accuracy": _share(right),
            "slot_f1": spans.values["f1"],
        }
        notes = self.tagger.losses(prepared, examples.tagged)
        new = sorted(set(examples.intents) - set(self.intents))
        if new:
            notes.append(f"{len(new)} intents were not in the train rows ({', '.join(new[:3])} ...): they count as missed")
        return Scores("exact", values, len(examples), tuple(notes), {"slots": spans.more["labels"]})


def _share(right: npt.NDArray[np.bool_]) -> Any:
    return bootstrap_interval(np.stack([right, np.ones_like(right)], 1).astype(np.int64), share)
