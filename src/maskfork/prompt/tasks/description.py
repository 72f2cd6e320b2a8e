"""What is asked of a text, as data: every way of asking (a local decoder, an endpoint, a comparison) reads the same description.

what: Is the review positive or negative?
labels: [negative, positive]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from maskfork.prompt.tasks.how import How

Output = Literal["label", "labels", "spans"]
#: what `output` may be beside a JSON schema
OUTPUTS: tuple[Output, ...] = ("label", "labels", "spans")


@dataclass(frozen=True)
class Label:
    """`words` is what a decoder is to write for it, its name where that is None; `description` tells when it applies."""

    name: str
    description: str | None = None
    words: str | None = None

    @property
    def said(self) -> str:
        """What stands for the label in a prompt."""
        return self.name if self.words is None else self.words


@dataclass(frozen=True)
class Span:
    """A piece of the text, word for word, and its label."""

    text: str
    label: str


Answer = str | tuple[str, ...] | tuple[Span, ...] | Mapping[str, Any]


@dataclass(frozen=True)
class Example:
    """A solved text. `answer`: a label's name; of `labels` several; of `spans` the spans; of a schema what fits it."""

    text: str
    answer: Answer
    pair: str | None = None


@dataclass(frozen=True)
class TaskDescription:
    """`what` is one sentence; `output` one label, several labels, spans of the text, or a JSON schema that the answer fits.

    `how` is the way in which a decoder is asked. `read_task` makes one and checks it.
    """

    what: str
    labels: tuple[Label, ...] = ()
    examples: tuple[Example, ...] = ()
    output: Output | Mapping[str, Any] = "label"
    how: How = field(default_factory=How)

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def label_words(self) -> tuple[str, ...]:
        """What a decoder is to write for each label."""
        return tuple(label.said for label in self.labels)

    @property
    def schema(self) -> Mapping[str, Any] | None:
        """The JSON schema, where the answer is one."""
        return self.output if isinstance(self.output, Mapping) else None

    def as_dict(self) -> dict[str, Any]:
        """The mapping that `read_task` reads back."""
        said: dict[str, Any] = {"what": self.what}
        if self.labels:
            said["labels"] = _labels(self.labels)
        if self.output != "label":
            said["output"] = self.output if self.schema is None else dict(self.schema)
        if ask := self.how.as_dict():
            said["ask"] = ask
        if self.examples:
            said["examples"] = [_example(one) for one in self.examples]
        return said

    def to_yaml(self) -> str:
        """The text of a task.yaml."""
        import yaml

        return str(yaml.safe_dump(self.as_dict(), sort_keys=False, allow_unicode=True, width=100))


def _labels(labels: tuple[Label, ...]) -> list[Any] | dict[str, str]:
    """The shortest of the three forms that says all."""
    if any(label.words is not None for label in labels):
        given = [{"name": label.name, "description": label.description, "words": label.words} for label in labels]
        return [{key: value for key, value in one.items() if value is not None} for one in given]
    if any(label.description is not None for label in labels):
        return {label.name: label.description or "" for label in labels}
    return [label.name for label in labels]


def _example(one: Example) -> dict[str, Any]:
    answer: Any = one.answer
    if isinstance(answer, tuple):
        answer = [{"text": part.text, "label": part.label} if isinstance(part, Span) else part for part in answer]
    elif isinstance(answer, Mapping):
        answer = dict(answer)
    pair = {} if one.pair is None else {"pair": one.pair}
    return {"text": one.text, **pair, "answer": answer}
