"""The table of benchmarks/encoders.py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.support.encoder_peers import CORES
from benchmarks.support.ground import commit, data_file, machine, table, versions
from maskfork.models.tokenizers.read import load_tokenizer

HEAD = ("", "texts/s", "spread", "of the best peer", "p50 ms", "p99", "two clients: p50", "p99", "SST-2 %")


def dev_rows() -> list[tuple[str, int]]:
    """SST-2's development set."""
    lines = data_file("classification/sst2/dev.tsv").read_text("utf-8").splitlines()
    return [(text, int(label)) for text, label in (line.rsplit("\t", 1) for line in lines if line)]


def operations(folder: Path, texts: Sequence[str]) -> tuple[float, float]:
    """A text's in matrix multiplications: by the whole model, and where its last layer follows the first token alone."""
    tokenizer, said = load_tokenizer(folder), json.loads((folder / "config.json").read_text())
    e, f = said.get("hidden_size", said.get("dim")), said.get("intermediate_size", said.get("hidden_dim"))
    depth = said.get("num_hidden_layers", said.get("n_layers"))
    tokens = sum(min(512, len(one)) for one in map(tokenizer.encode, texts)) / len(texts)
    whole = tokens * depth * 2 * (4 * e * e + 2 * e * f)
    return whole, whole - (tokens - 1) * 2 * (2 * e * e + 2 * e * f)


def report(
    title: str, asked: str, ops: tuple[float, float], texts: int, every: Mapping[str, int], done: Mapping[str, Any]
) -> str:
    """`every`: a contender read every n-th text. `done`: by contender its rounds' seconds ("all"), milliseconds, labels."""
    truth = [label for _, label in dev_rows()]
    speed = {name: [-(-texts // every[name]) / s for s in own["all"]] for name, own in done.items() if own.get("all")}
    peers = [name for name in speed if not name.startswith("ours")]
    best = max(peers, key=lambda name: median(speed[name]))
    quick = min(peers, key=lambda name: float(np.median(np.concatenate(done[name]["one"]))))
    lines = []
    for name, rates in sorted(speed.items(), key=lambda item: -median(item[1])):
        own = done[name]
        ratio = median([a / b for a, b in zip(rates, speed[best], strict=False)])
        times = [[float(np.percentile(turn, q)) for turn in own.get(what, [])] for what in ("one", "two") for q in (50, 99)]
        said = (own.get("logits") or [None])[0]
        hit = f"{100 * np.mean(np.array(said) == truth):.2f}" if said else ""
        cells = [f"{median(some):.2f}" if some else "" for some in times]
        lines.append([name, f"{median(rates):.0f}", f"{min(rates):.0f}-{max(rates):.0f}", f"{ratio:.2f}", *cells, hit])
    share, own = "", done.get("ours int8", {})
    if own.get("peak"):
        of = [texts / seconds / peak for seconds, peak in zip(own["all"], own["peak"], strict=False)]
        reached, parts = median(own["peak"]) / 1e9, [f"{100 * median(of) * some:.0f} %" for some in reversed(ops)]
        share = (
            f"Of what int8 products reach ({reached:.0f} GOP/s, oneDNN on {CORES} threads, measured before it in each round) our"
            f" int8 takes {parts[0]} by what it multiplies, {parts[1]} by what the whole model would: of the last layer it reads"
            " only the head's tokens."
        )
    return (
        f"### Encoders: {title}\n\nTexts a second on {texts} texts of mixed lengths, tokenising included; p50 and p99 of one "
        f"text of 25 tokens, by one client and by two that ask one worker. Medians over rounds in turn; the fourth column is the "
        f"median ratio of a round to {best}. The quickest peer at one text is {quick}. {share}\n\n{table(HEAD, lines)}\n\n"
        f"`python -m benchmarks.encoders {asked}`, commit {commit()}, {machine()}, "
        f"{versions('torch', 'transformers', 'sentence-transformers', 'onnxruntime', 'openvino', 'nncf', 'ctranslate2')}."
    )
