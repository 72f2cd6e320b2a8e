"""Spans of the text and their labels: written as JSON, held to that form, and each looked up in the text word for word.

What the model writes that does not stand in the text is no span: it is left out and counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskfork.models.model import Model
from maskfork.prompt.ask.asker import DecoderAsker, Moved, examples_of, template_for
from maskfork.prompt.ask.said import Said, read_json
from maskfork.prompt.ask.together import together
from maskfork.prompt.ask.writer import Writer
from maskfork.prompt.generate.constraints import json_schema
from maskfork.prompt.tasks.description import Span, TaskDescription

_ASKED = '{what}\n{list}\nCopy each span from the text word for word: [{{"text": "...", "label": "..."}}], or [] for none.'

Found = tuple[int, int, str]  # start, end, label


class SpansAsker(DecoderAsker):
    """`spans` are {start, end, text, label, confidence} with `text[start:end]` of the text as it was given; `invented` counts
    those that do not stand in it.

    Of several samples, spans that at least half of them give are kept, and the share is their confidence; of one, it is the
    geometric mean of all its tokens' probabilities. The row's `confidence` is that of its least sure span, and `agreement`
    how far the samples agree.
    """

    def __init__(self, decoder: str | Path | Model, task: TaskDescription) -> None:
        super().__init__(decoder, task)
        self.writer = structured_writer(self.model, task, spans_schema(task.label_words), _ASKED)
        self.notes = self.writer.notes

    def ask(self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Moved | None = None) -> list[dict[str, Any]]:
        written, lost = self.writer.write(texts, pairs, moved)
        return [
            {**spans_row(self.task, text, read_json(said)), "tokens_lost": tokens}
            for text, said, tokens in zip(texts, written, lost, strict=True)
        ]


def spans_row(task: TaskDescription, text: str, said: Sequence[Said]) -> dict[str, Any]:
    """The answer for a text, of one list of {text, label} or of several samples."""
    return together([_row(task, text, one) for one in said], task.label_names)


def _row(task: TaskDescription, text: str, said: Said) -> dict[str, Any]:
    """Of a single list."""
    names = dict(zip(task.label_words, task.label_names, strict=True))
    claimed = [Span(str(span["text"]), names[span["label"]]) for span in said.value]
    spans = [
        {"start": start, "end": end, "text": text[start:end], "label": label, "confidence": said.sure}
        for start, end, label in sorted(placed(text, claimed))
    ]
    return {"spans": spans, "confidence": said.sure, "invented": len(claimed) - len(spans)}


def invented_note(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence on the spans that were left out, where there are any."""
    invented = sum(row.get("invented", 0) for row in rows)
    return [f"{invented} spans were written that do not stand in their texts; they are left out"] if invented else []


def placed(text: str, spans: Sequence[Span]) -> list[Found]:
    """Where spans stand in a text: each the first time that its words do after the last place where the same words were found.

    Between words any white space counts, since a prompt shows the text on one line. What is not in the text is left out.
    """
    out: list[Found] = []
    behind: dict[str, int] = {}
    for span in spans:
        words = [re.escape(word) for word in span.text.split()]
        if not words:
            continue
        key = " ".join(words)
        match = re.compile(r"\s+".join(words)).search(text, behind.get(key, 0))
        if match is not None:
            behind[key] = match.end()
            out.append((match.start(), match.end(), span.label))
    return out


def spans_schema(labels: Sequence[str]) -> dict[str, Any]:
    """JSON schema of a list of spans."""
    span = {"type": "object", "properties": {"text": {"type": "string"}, "label": {"enum": list(labels)}}}
    return {"type": "array", "items": {**span, "required": ["text", "label"], "additionalProperties": False}}


def structured_writer(model: Model, task: TaskDescription, schema: dict[str, Any], asked: str) -> Writer:
    """Writes JSON that fits a schema. `asked`: the instruction, unless the task's own template has one."""
    template = template_for(model, task)
    if task.how.template is None:
        answer = template.answer if template.chat else "JSON:"
        template = replace(template, instruction=asked + ("" if template.chat else "\n\n"), answer=answer)
    opening = template.opening(task.label_words, task.what, [label.description for label in task.labels])
    examples, choose = examples_of(task)
    shots = [(one.text, one.pair, json.dumps(as_written(one.answer, task), ensure_ascii=False)) for one in examples]
    return Writer(model, template, opening, shots, task.how, length=task.how.max_tokens, form=json_schema(schema), choose=choose)


def as_written(answer: Any, task: TaskDescription) -> Any:
    """An example's answer as the model is to write it."""
    if task.schema is not None:
        return answer
    words = dict(zip(task.label_names, task.label_words, strict=True))
    return [words[one] if isinstance(one, str) else {"text": one.text, "label": words[one.label]} for one in answer]
