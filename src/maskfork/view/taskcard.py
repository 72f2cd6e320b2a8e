"""README.md of a folder that `maskfork train` wrote: what it does, on which data it was measured, and how far it holds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from maskfork.view.html import printable
from maskfork.view.markdown import code, plain, yaml_string
from maskfork.view.words import count

_PIPELINES = {
    "classify": "text-classification", "few-shot": "text-classification", "tag": "token-classification",
    "answer": "question-answering", "embed": "sentence-similarity", "rerank": "text-ranking", "seq2seq": "text2text-generation",
    "instruct": "text-generation",
}  # fmt: skip
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def task_card(run: Mapping[str, Any], name: str) -> str:
    """The card of `run`, the content of train.json; `name` is the folder's.

    Source: Hugging Face Hub documentation, "Model Cards", the model-index metadata.
    """
    parts = [
        _front_matter(run, name),
        *(printable(part) for part in (_about(run, name), _results(run), _data(run), _origin(run))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(run: Mapping[str, Any], name: str) -> str:
    lines = ["---"]
    if (pipeline := _PIPELINES.get(run["task"])) is not None:
        lines.append(f"pipeline_tag: {pipeline}")
    base = str(run["base"])
    if _HUB_ID.fullmatch(base) and not os.path.exists(base):
        lines.append(f"base_model: {yaml_string(base)}")
    lines += ["tags:", "- maskfork", f"- {run['task']}"]
    scores = run["scores"]
    if scores and pipeline is not None:
        data = _name(run["data"]["test"] or run["data"]["train"])
        lines += ["model-index:", f"- name: {yaml_string(name)}", "  results:", "  - task:", f"      type: {pipeline}"]
        lines += ["    dataset:", f"      name: {yaml_string(data)}", f"      type: {yaml_string(data)}", "    metrics:"]
        for metric, value in scores["values"].items():
            lines += [f"    - type: {yaml_string(metric)}", f"      value: {value['value']:.6f}"]
    return "\n".join([*lines, "---"])


def _about(run: Mapping[str, Any], name: str) -> str:
    about = plain(run["about"][:1].upper() + run["about"][1:].rstrip("."))
    said = [f"# {plain(name)}", f"{about}. Base model: {code(str(run['base']))}."]
    return "\n\n".join([*said, '```sh\nmaskfork predict DIR "text"\n```\n\nDIR is this folder.'])


def _results(run: Mapping[str, Any]) -> str:
    scores = run["scores"]
    if not scores:
        return "## Results\n\nNothing was held out, so nothing was measured."
    rows = [
        f"| {plain(metric)} | {v['value']:.4f} | {v['low']:.4f} to {v['high']:.4f} |" for metric, v in scores["values"].items()
    ]
    table = "\n".join(["| measure | value | 95 % interval |", "|---|---:|---:|", *rows])
    notes = "\n".join(f"- {plain(note)}" for note in scores["notes"])
    return "\n\n".join(
        part
        for part in (
            f"## Results\n\nOn {count(scores['rows'])} held-out rows, which the training never saw. Intervals are over rows, for "
            "this one set of weights.",
            table,
            notes,
        )
        if part
    )


def _data(run: Mapping[str, Any]) -> str:
    data = run["data"]
    files = [f"{role} {code(_name(data[role]))}" for role in ("train", "validation", "test") if data[role]]
    counts = [f"{count(n)} {role}" for role, n in data["rows"].items() if n is not None]
    lines = [f"## Data and limits\n\n{', '.join(files)}; rows: {', '.join(counts)}."]
    lines.append("\n".join(f"- {plain(note)}" for note in [*data["notes"], *run["notes"]]))
    lines.append("The figures hold for rows from where the held-out rows came; other texts, times or languages were not tested.")
    return "\n\n".join(line for line in lines if line)


def _origin(run: Mapping[str, Any]) -> str:
    settings = "\n".join(f"- {plain(str(k))}: {plain(str(v))}" for k, v in run["settings"].items())
    machine = run["environment"]
    made = f"Made by maskfork {plain(str(run['maskfork']))}, {plain(str(run['created']))}, seed {run['seed']}"
    lines = [f"## Where it comes from\n\n{made}, in {run['seconds']:.0f} s on {plain(str(machine['processor']))}."]
    if run["command"]:
        lines.append(f"    {' '.join(str(run['command']).split())}")
    return "\n\n".join([*lines, f"Settings:\n\n{settings}"])


def _name(path: str) -> str:
    return PurePath(path).name or path
