"""What a classifier loses in int8, bf16 and ONNX: MiniLM fine-tuned here, exported each way, asked on all held-out rows.

    python benchmarks/exported.py                 train what is not trained, export what is not exported, the table
    python benchmarks/exported.py --data trec     one set
    python benchmarks/exported.py --write         the table into RESULTS.md

Each export takes its scales from 300 rows of the training part, which is what `--calibrate` gives; test rows are never seen.
Models, exports and predictions are kept in runs/bench-exported/.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import time
from pathlib import Path

import numpy as np
from support import ground, sets

from maskfork.deploy.export.run import export
from maskfork.errors import ModelError
from maskfork.learn.data.rows import Rows
from maskfork.learn.data.split import nested_budgets
from maskfork.learn.tasks.classify import Classifier, Sorter
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.measure.metrics import accuracy
from maskfork.measure.paired import difference_interval
from maskfork.models.formats.place import in_place
from maskfork.models.runtimes.settings import Precision, RuntimeSettings, digests, write_settings

STORE = ground.RUNS / "bench-exported"
SHOWN = 300
LIMITS = {"sst2": 6910, "trec": 4303, "ag_news": 6080}  # rows that are trained on
#: name, format or runtime (torch and our C++ take the folder's own weights), precision, whether scales come from rows
WAYS: tuple[tuple[str, str, Precision, bool], ...] = (
    ("native int8", "native", "int8", False),
    ("torch int8, dynamic", "torch", "int8", False),
    ("torch bf16", "torch", "bf16", False),
    ("onnx fp32", "onnx", "fp32", False),
    ("onnx int8, dynamic", "onnx", "int8", False),
    ("onnx int8, static", "onnx", "int8", True),
    ("openvino bf16", "openvino", "bf16", False),
    ("openvino int8, static, SmoothQuant", "openvino", "int8", True),
)


def trained(name: str, rows: Rows) -> Path:
    folder = STORE / name / "model"
    if not folder.is_dir():
        print(f"{name}: training on {len(rows.texts)} rows", flush=True)
        made = Classifier.train(ground.minilm(), rows, settings=FineTuneSettings(), seed=0)
        made.save(folder.with_name("model.part"))
        folder.with_name("model.part").rename(folder)
    return folder


def exported(name: str, model: Path, way: tuple[str, str, Precision, bool], rows: Path) -> tuple[Path | None, str]:
    """The folder (None where it was refused), and what was said of it."""
    title, to, precision, shown = way
    folder = STORE / name / title.replace(", ", "-").replace(" ", "-")
    if folder.is_dir():
        return folder, ""
    if to in ("torch", "native"):
        labels = len(Sorter.open(model).label_names)
        with in_place(folder) as new:
            shutil.copytree(model, new)
            files = digests(new, ["model.safetensors"])
            write_settings(new, RuntimeSettings(runtime=to, precision=precision, gives="text", width=labels, files=files))  # type: ignore[arg-type]
        return folder, ""
    try:
        done = export(
            model,
            folder,
            to=to,
            precision=precision,
            calibrate=rows if shown else None,
            static="static" in title and to == "onnx",
        )  # type: ignore[arg-type]
    except ModelError as error:
        return None, str(error)
    return folder, done.said


def measure(name: str, only: list[str] | None = None) -> list[list[str]]:
    data = sets.dataset(name)
    few = nested_budgets(data.train.labels, [LIMITS[name]], 0)[LIMITS[name]] if LIMITS[name] < len(data.train.texts) else None
    model = trained(name, data.train if few is None else data.train.take(few))
    rows = STORE / name / "rows.csv"
    some = data.train.take(nested_budgets(data.train.labels, [SHOWN], 1)[SHOWN])
    with rows.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text",), *((text,) for text in some.texts)])
    truth, kept = data.test.labels, STORE / name / "original.npy"
    original = predicted(model, data.test, kept)
    found = [[sets.TITLES[name], "fp32, torch", f"{accuracy(truth, original):.2%}", "", ""]]
    for way in WAYS:
        if only is not None and way[0] not in only:
            continue
        begun = time.perf_counter()
        folder, said = exported(name, model, way, rows)
        if folder is None:
            found.append([sets.TITLES[name], way[0], "refused", "", said])
            continue
        labels = predicted(folder, data.test, STORE / name / f"{folder.name}.npy")
        change = difference_interval(labels, original, truth)
        same = f"{(labels == original).mean():.2%}"
        points = f"{100 * change.value:+.2f} ({100 * change.low:+.2f} to {100 * change.high:+.2f})"
        found.append([sets.TITLES[name], way[0], f"{accuracy(truth, labels):.2%}", points, same])
        print(f"{name} {way[0]}: {found[-1][2:]} {said} ({time.perf_counter() - begun:.0f} s)", flush=True)
    return found


def predicted(folder: Path, rows: Rows, kept: Path) -> np.ndarray:
    if kept.is_file():
        return np.asarray(np.load(kept))
    labels = Sorter.open(folder).logits(rows.texts, rows.pairs).argmax(1)
    np.save(kept, labels)
    return np.asarray(labels)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", choices=sorted(sets.FILES), action="append")
    ask.add_argument("--way", choices=[way[0] for way in WAYS], action="append", help="only these")
    ask.add_argument("--write", action="store_true")
    asked = ask.parse_args()
    lines = [line for name in asked.data or sets.FILES for line in measure(name, asked.way)]
    head = ["set", "runtime", "accuracy", "points against fp32 (95 %, paired)", "same label"]
    text = ground.table(head, lines)
    print(text)
    if asked.write:
        versions = ground.versions("torch", "onnx", "onnxruntime", "openvino", "nncf")
        about = (
            "## Exports: what int8 and bf16 cost\n\n`python benchmarks/exported.py --write`: all-MiniLM-L6-v2 fine-tuned on "
            f"{', '.join(f'{n:,} rows of {sets.TITLES[k]}' for k, n in LIMITS.items())}, exported each way, asked on every "
            f"held-out row. Static scales come from {SHOWN} training rows. {versions}; commit {ground.commit()}."
        )
        ground.put("exported", f"{about}\n\n{text}")


if __name__ == "__main__":
    main()
