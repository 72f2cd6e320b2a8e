"""README.md of the winner's folder: a Hugging Face model card with data, intervals and limits."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from maskfork.errors import UsageError
from maskfork.view.html import printable
from maskfork.view.markdown import code, plain, yaml_string
from maskfork.view.reading import PROMPTED, Contender, Facts, num, read_report
from maskfork.view.report.recommend import difference_sentence
from maskfork.view.words import (
    MISSING,
    count,
    listing,
    megabytes,
    milliseconds,
    number,
    percent,
    percent_range,
    rate,
    significant,
)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_KINDS = {
    "fine-tune": "all weights of the encoder and a classification head, fine-tuned",
    "probe": "a linear classifier on the frozen encoder's mean-pooled embeddings",
    "tf-idf": "TF-IDF features and logistic regression",
    "prompt": "a decoder that is prompted; no weight was changed",
    "endpoint": "a model behind an endpoint that is prompted; no weight was changed",
}
_COUNTS = (
    ("train", "rows to train on"),
    ("test", "held-out rows"),
    ("duplicates", "duplicates removed"),
    ("leaked", "leaked rows removed"),
    ("near_leaked", "nearly equal rows removed"),
)
SHOWN_LABELS = 30


def model_card(report: Mapping[str, Any], name: str) -> str:
    """README.md for the contender `name` of `report`: YAML front matter, then the words.

    Raises UsageError where the report holds no such contender.
    Source: Hugging Face Hub documentation, "Model Cards", the model-index metadata.
    """
    facts = read_report(report)
    contender = facts.contender(name)
    if contender is None:
        raise UsageError(f"The report holds no contender named {name!r}: take one of its contenders' names.")
    parts = [_about(facts, contender), _use(facts, contender), _results(facts, contender)]
    parts += [_data(facts), _limits(facts, contender), _origin(facts)]
    parts = [_front_matter(facts, contender), *(printable(part) for part in parts)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(facts: Facts, c: Contender) -> str:
    own = c.kind in ("fine-tune", "probe")
    lines = ["---", "pipeline_tag: text-classification"]
    lines.append(f"library_name: {'scikit-learn' if c.kind == 'tf-idf' else 'transformers'}")
    if own and _HUB_ID.fullmatch(c.base) and not os.path.exists(c.base):
        lines.append(f"base_model: {yaml_string(c.base)}")
    lines += ["tags:", "- maskfork", "- text-classification", "metrics:", "- accuracy", "- f1"]
    data = _data_name(facts)
    slug = re.sub(r"[^a-z0-9_-]+", "-", data.lower()).strip("-") or "data"
    lines += ["model-index:", f"- name: {yaml_string(c.name)}", "  results:", "  - task:", "      type: text-classification"]
    lines += ["      name: Text classification", "    dataset:", f"      name: {yaml_string(data)}"]
    lines += [f"      type: {yaml_string(slug)}", "      split: held-out"]
    lines.append("    metrics:")
    kept = len(lines)
    for kind, words, value in (
        ("accuracy", "Accuracy", c.accuracy),
        ("f1", "Macro-F1", c.macro_f1),
        ("expected_calibration_error", "Expected calibration error", c.ece),
    ):
        if value is not None:
            lines += [f"    - type: {kind}", f"      name: {words}", f"      value: {value:.6f}"]
            lines += ["      args:", "        average: macro"] if kind == "f1" else []
    if len(lines) == kept:
        lines[-1] = "    metrics: []"
    return "\n".join([*lines, "---"])


def _about(facts: Facts, c: Contender) -> str:
    rows = "no labelled rows" if not c.budget else f"{count(c.budget)} labelled rows"
    labels = _labels(facts)
    said = [f"# {plain(c.name)}", f"A text classifier: {_KINDS.get(c.kind, plain(c.kind) or 'a contender')}, with {rows}."]
    if c.base:
        said.append(f"Base model: {code(c.base)}.")
    if labels:
        more = "" if len(labels) <= SHOWN_LABELS else f" and {len(labels) - SHOWN_LABELS} more (see config.json)"
        named = ", ".join(code(x) for x in labels[:SHOWN_LABELS])
        said.append(f"It answers with one of {len(labels)} labels: {named}{more}.")
    return said[0] + "\n\n" + " ".join(said[1:])


def _use(facts: Facts, c: Contender) -> str:
    shell = '```sh\nmaskfork predict DIR "text"\n```'
    if c.kind in PROMPTED:
        return f"## How to use it\n\nThis folder holds the prompt, not weights. DIR is this folder.\n\n{shell}"
    shell = f"## How to use it\n\nDIR is this folder.\n\n{shell}"
    if c.kind != "fine-tune":
        return shell
    pair = bool(facts.data.get("pair_column"))
    call = '{"text": "first text", "text_pair": "second text"}' if pair else '"text"'
    lines = ["```python", "from transformers import pipeline", ""]
    lines += ['classify = pipeline("text-classification", model="DIR")', f"print(classify({call}))", "```"]
    return f"{shell}\n\nor, without maskfork:\n\n" + "\n".join(lines)


def _results(facts: Facts, c: Contender) -> str:
    test = num(facts.data.get("test"))
    intro = "On the held-out rows" if test is None else f"On {count(test)} held-out rows"
    seeds = f" with {len(c.seeds)} training seeds" if len(c.seeds) > 1 else ""
    ece = f"{number(c.ece_ci[0], 3)} to {number(c.ece_ci[1], 3)}" if c.ece_ci else MISSING
    rows = [
        ("Accuracy", percent(c.accuracy), percent_range(c.accuracy_ci)),
        ("Macro-F1", percent(c.macro_f1), percent_range(c.macro_f1_ci)),
        ("Expected calibration error", number(c.ece, 3), ece),
        ("Latency of one text, p50 and p99", f"{milliseconds(c.p50)}, {milliseconds(c.p99)}", MISSING),
        ("Throughput, texts", rate(c.throughput), MISSING),
        ("Memory, peak", megabytes(c.memory_mb), MISSING),
        ("Size on disk", megabytes(c.disk_mb), MISSING),
        ("Cost per million texts", significant(c.cost), MISSING),
    ]
    table = ["| measure | value | 95 % interval |", "|---|---:|---:|", *(f"| {a} | {b} | {i} |" for a, b, i in rows)]
    said = [f"## Results\n\n{intro}{seeds}. Intervals are bootstrapped over rows and seeds.", "\n".join(table)]
    pair = facts.best_pair()
    if pair is not None:
        said.append(plain(difference_sentence(pair)))
    return "\n\n".join(said)


def _data(facts: Facts) -> str:
    data = facts.data
    if not data:
        return ""
    counts = [f"{count(v)} {words}" for key, words in _COUNTS if (v := num(data.get(key))) is not None]
    lines = ["## Data", code(_data_name(facts)) + (f": {listing(counts)}." if counts else ".")]
    labels = data.get("labels")
    if isinstance(labels, Mapping) and labels:
        listed = list(labels.items())[:SHOWN_LABELS]
        rows = [f"| {plain(str(k))} | {count(num(v))} |" for k, v in listed]
        lines.append("\n".join(["| label | rows |", "|---|---:|", *rows]))
        if len(labels) > SHOWN_LABELS:
            lines.append(f"And {len(labels) - SHOWN_LABELS} more labels.")
    notes = data.get("notes")
    if isinstance(notes, (list, tuple)) and notes:
        lines.append("\n".join(f"- {plain(str(n))}" for n in notes))
    return "\n\n".join(lines)


def _limits(facts: Facts, c: Contender) -> str:
    said = [
        "The figures hold for rows from where the held-out rows came. Other texts, times or languages were not tested.",
        "The interval is of the recipe, trained again, not of this one set of weights." if len(c.seeds) > 1 else "",
        "Latency, throughput, memory and cost are those of the machine below.",
        "It always answers with one of its labels, also where none fits.",
    ]
    if facts.cannot_tell:
        said.append("The comparison could not tell the first two contenders apart; constraints and price decided.")
    said += [f"It breaks a constraint: {plain(b)}" for b in c.broken]
    said += [plain(n) for n in c.notes]
    return "## Limits\n\n" + "\n".join(f"- {s}" for s in said if s)


def _origin(facts: Facts) -> str:
    raw = facts.raw
    version = f" {plain(str(raw['maskfork']))}" if raw.get("maskfork") else ""
    created = f", {plain(str(raw['created']))}" if raw.get("created") else ""
    lines = ["## Where it comes from", f"Made by maskfork compare{version}{created}."]
    command = raw.get("command")
    if command:
        words = " ".join(map(str, command)) if isinstance(command, (list, tuple)) else str(command)
        lines.append("\n".join(f"    {line}" for line in words.splitlines()))
    environment = raw.get("environment")
    if isinstance(environment, Mapping) and environment:
        lines.append("\n".join(f"- {plain(str(k))}: {plain(_flat(v))}" for k, v in environment.items()))
    return "\n\n".join(lines)


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_flat(v)}" for k, v in value.items())
    return ", ".join(_flat(v) for v in value) if isinstance(value, (list, tuple)) else str(value)


def _labels(facts: Facts) -> list[str]:
    labels = facts.data.get("labels")
    return [str(x) for x in labels] if isinstance(labels, Mapping) else []


def _data_name(facts: Facts) -> str:
    path = facts.data.get("path")
    return PurePath(str(path)).name or str(path) if path else "data"
