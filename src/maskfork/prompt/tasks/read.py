"""A task file, read and checked: YAML or JSON, each mistake one sentence.

YAML's own guesses are switched off for names (`no`, `on`, `1e3` and `2020-01-01` are labels as they stand); a JSON schema and
the answers that fit it keep their types.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from maskfork.errors import UsageError
from maskfork.prompt.tasks.description import OUTPUTS, Answer, Example, Label, Output, Span, TaskDescription
from maskfork.prompt.tasks.how import How, how_of

_KEYS = ("what", "labels", "output", "examples", "ask")
_INSTANCE = "for instance `labels: [negative, positive]`"


def read_task(source: str | Path | Mapping[str, Any]) -> TaskDescription:
    """A task from a file (.yaml, .yml, .json) or from what such a file holds. Raises UsageError, in one sentence."""
    if isinstance(source, Mapping):
        return _Reader("the task").task(source, source)
    path = Path(source)
    names, typed = _load(path)
    if not isinstance(names, Mapping):
        raise UsageError(f"{path} must say what is asked and which labels there are, {_INSTANCE}")
    return _Reader(str(path)).task(names, typed)


def _load(path: Path) -> tuple[Any, Any]:
    """What the file holds, once with all values as they are written and once with their types."""
    if not path.is_file():
        raise UsageError(f"there is no task file {path}: write one, with `what:` and `labels:`")
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise UsageError(f"the task file {path} must end in .yaml, .yml or .json")
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            held = json.loads(text)
            return held, held
        return yaml.load(text, yaml.BaseLoader), yaml.safe_load(text)  # BaseLoader makes strings alone
    except (ValueError, yaml.YAMLError) as error:
        raise UsageError(f"the task file {path} cannot be read ({' '.join(str(error).split())}): put its syntax right") from error


class _Reader:
    def __init__(self, where: str) -> None:
        self.where = where

    def task(self, said: Mapping[str, Any], typed: Mapping[str, Any]) -> TaskDescription:
        for key in said:
            if key not in _KEYS:
                near = get_close_matches(str(key), _KEYS, n=1, cutoff=0.5)
                cure = f"did you mean {near[0]!r}?" if near else f"it may say {', '.join(_KEYS)}"
                raise UsageError(f"{self.where} says {str(key)!r}, which a task does not have: {cure}")
        what = said.get("what")
        if not isinstance(what, str) or not what.strip():
            raise UsageError(
                f"{self.where} must say in one sentence what is asked, as `what: Is the review positive or negative?`"
            )
        output = self._output(typed.get("output", "label"))
        labels = self._labels(said.get("labels"), output)
        # a schema's answers are values; names are names
        rows = typed.get("examples") if isinstance(output, Mapping) else said.get("examples")
        return TaskDescription(what.strip(), labels, self._examples(rows, labels, output), output, self._how(typed.get("ask")))

    def _how(self, said: Any) -> How:
        if said is not None and not isinstance(said, Mapping):
            raise UsageError(f"{self.where}: `ask` must say how, as {{shots: 8, select: balanced}}")
        try:
            return how_of(said or {})
        except UsageError as error:
            raise UsageError(f"{self.where}: {error}") from error

    def _output(self, said: Any) -> Output | Mapping[str, Any]:
        if isinstance(said, Mapping):
            if not {"type", "properties", "enum", "anyOf", "oneOf", "allOf", "$ref"} & set(said):
                raise UsageError(
                    f"{self.where}: `output` is no JSON schema: give it a `type`, as {{type: object, properties: ...}}"
                )
            return dict(said)
        for known in OUTPUTS:
            if said == known:
                return known
        raise UsageError(f"{self.where}: `output` must be {', '.join(OUTPUTS)} or a JSON schema, not {said!r}")

    def _labels(self, said: Any, output: Output | Mapping[str, Any]) -> tuple[Label, ...]:
        if isinstance(output, Mapping):
            if said:
                raise UsageError(f"{self.where} has both labels and a JSON schema: put them into the schema as an enum")
            return ()
        if isinstance(said, Mapping):
            found = [Label(self._name(name), _text(about)) for name, about in said.items()]
        elif isinstance(said, Sequence) and not isinstance(said, str):
            found = [self._label(one) for one in said]
        else:
            raise UsageError(f"{self.where} must list its labels, {_INSTANCE}")
        if len(found) < (2 if output == "label" else 1):
            raise UsageError(f"{self.where} has {len(found)} label{'s' * (len(found) != 1)}, too few to choose from: {_INSTANCE}")
        for kind, names in (("label", [label.name for label in found]), ("words", [label.said for label in found])):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise UsageError(f"{self.where} has the {kind} {twice!r} twice: each label needs its own")
        return tuple(found)

    def _label(self, said: Any) -> Label:
        if not isinstance(said, Mapping):
            return Label(self._name(said))
        wrong = next((key for key in said if key not in ("name", "description", "words")), None)
        if wrong is not None:
            raise UsageError(f"{self.where}: a label has a name, a description and words, not {str(wrong)!r}")
        return Label(self._name(said.get("name")), _text(said.get("description")), _text(said.get("words")))

    def _name(self, said: Any) -> str:
        name = _plain(said)
        if name is None or not name.strip():
            raise UsageError(f"{self.where} has a label without a name: give each one, {_INSTANCE}")
        return name.strip()

    def _examples(self, said: Any, labels: tuple[Label, ...], output: Output | Mapping[str, Any]) -> tuple[Example, ...]:
        if said is None or said == "":
            return ()
        if not isinstance(said, Sequence) or isinstance(said, str):
            raise UsageError(f"{self.where}: `examples` must be a list, each with its text and answer")
        return tuple(self._example(number, one, labels, output) for number, one in enumerate(said, start=1))

    def _example(self, number: int, said: Any, labels: tuple[Label, ...], output: Output | Mapping[str, Any]) -> Example:
        where = f"{self.where}, example {number}"
        answer_keys = ("answer", "label", "labels", "spans")
        if not isinstance(said, Mapping) or set(said) - {"text", "pair", *answer_keys} or "text" not in said:
            raise UsageError(f"{where} must be a text and its answer, as {{text: A warm film., answer: positive}}")
        given = [key for key in answer_keys if key in said]
        if len(given) != 1:
            raise UsageError(f"{where} has {len(given)} answers: give one, as `answer:`")
        text, pair = _plain(said["text"]), _plain(said.get("pair"))
        if text is None:
            raise UsageError(f"{where} has no text: give one")
        return Example(text, self._answer(where, said[given[0]], text, tuple(label.name for label in labels), output), pair)

    def _answer(self, where: str, said: Any, text: str, names: tuple[str, ...], output: Output | Mapping[str, Any]) -> Answer:
        if isinstance(output, Mapping):
            if not isinstance(said, Mapping):
                raise UsageError(f"{where} must have a mapping as its answer, as the JSON schema asks")
            return dict(said)
        if output == "label":
            return self._known(where, said, names)
        if not isinstance(said, Sequence) or isinstance(said, str):
            raise UsageError(f"{where} must have a list as its answer ([] where there is none)")
        if output == "labels":
            return tuple(self._known(where, one, names) for one in said)
        spans = []
        for one in said:
            if not isinstance(one, Mapping) or set(one) != {"text", "label"}:
                raise UsageError(f"{where}: a span is {{text: ..., label: ...}}, not {one!r}")
            span = Span(_plain(one["text"]) or "", self._known(where, one["label"], names))
            if not span.text or span.text not in text:
                raise UsageError(f"{where}: the span {span.text!r} does not stand in its text word for word")
            spans.append(span)
        return tuple(spans)

    def _known(self, where: str, said: Any, names: tuple[str, ...]) -> str:
        name = (_plain(said) or "").strip()
        if name not in names:
            raise UsageError(f"{where} is labelled {name!r}, which is none of the labels: {', '.join(names[:10])}")
        return name


def _plain(said: Any) -> str | None:
    """A name as text: JSON's numbers and truth values as JSON writes them; None for what is no name."""
    if isinstance(said, str):
        return said
    return json.dumps(said) if isinstance(said, int | float) else None


def _text(said: Any) -> str | None:
    """What may be left out."""
    text = (_plain(said) or "").strip()
    return text or None
