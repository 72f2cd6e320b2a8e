"""Encoders: traced, written for their runtime, checked, and put into a folder that predict and serve open."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch

from maskfork.core.batch import Batch
from maskfork.deploy.export.agreement import Agreement, Kind, agreement
from maskfork.deploy.export.graph import EncoderGraph, trace
from maskfork.deploy.export.onnx import quantise_dynamic, quantise_static, write_onnx
from maskfork.deploy.export.openvino import write_openvino
from maskfork.deploy.export.rows import MOST, Given, Recorder, given_rows, own_rows, read_as_asked
from maskfork.deploy.export.smooth import smoothed
from maskfork.errors import ModelError, UsageError
from maskfork.learn.tasks import task_in, task_of
from maskfork.learn.tasks.classify import Sorter
from maskfork.learn.tasks.common.contract import Task, Trained
from maskfork.models.about import said_of
from maskfork.models.folder import config_of
from maskfork.models.formats.belongs import MODULES, copy_rest
from maskfork.models.formats.place import in_place
from maskfork.models.formats.tensors import open_tensors
from maskfork.models.packing import TOKENS, by_tokens, packed
from maskfork.models.runtimes import onnx as onnx_runtime
from maskfork.models.runtimes import openvino as openvino_runtime
from maskfork.models.runtimes.batched import inputs_of
from maskfork.models.runtimes.open import open_runtime
from maskfork.models.runtimes.pytorch import TorchRuntime
from maskfork.models.runtimes.settings import FILE, Precision, RuntimeSettings, digests, write_settings
from maskfork.models.runtimes.whole import Whole
from maskfork.models.sentence.pipeline import Pipeline
from maskfork.models.sentence.stages import Stage

To = Literal["onnx", "openvino"]
Step = Callable[[float, str], None]
TASKS = ("classify", "tag", "answer", "embed", "rerank")  # those whose answer a runtime gives
_STEMS = (onnx_runtime.MODEL, "openvino_model.")  # how the runtimes' files begin
CALIBRATION = 300  # rows that scales are taken from


@dataclass
class Encoder:
    """An opened model, ready to be exported."""

    folder: Path
    task: Task[Any]
    trained: Trained
    whole: Whole
    notes: list[str] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """How its answers are compared."""
        if self.task.name == "embed":
            return "vector"
        if self.whole.width == 1:
            return "number"
        if isinstance(self.trained, Sorter) and self.trained.problem != "single":
            return "several" if self.trained.problem == "multi" else "number"
        return "labels"


def open_encoder(folder: Path) -> Encoder:
    """Raises ModelError for a model that no runtime runs."""
    if (folder / FILE).is_file():
        raise ModelError(f"{folder} is exported already: give the folder that it was exported from")
    task = task_of("classify") if said_of(folder).get("kind") == "fine-tune" else task_in(folder)  # what a comparison kept
    if task is None and (folder / MODULES).is_file():
        task = task_of("embed")
    if task is None or task.name not in TASKS:
        what = "names no task" if task is None else f"is of the task {task.name}"
        raise ModelError(f"{folder} {what}, and a runtime answers for {', '.join(TASKS)}: give one of these")
    trained = task.open(folder)
    asked: Any = trained
    pipeline = getattr(asked, "encoder", None)
    if isinstance(pipeline, Pipeline):
        return Encoder(folder, task, trained, Whole(pipeline.model, cast("list[Stage]", list(pipeline.stages))).eval())
    if isinstance(asked, Sorter):
        if asked.reader.scorer is not None:
            raise ModelError(
                f"{folder} weighs the windows of long texts by token vectors, which no runtime gives: run it in torch"
            )
        return Encoder(folder, task, trained, Whole(asked.reader.model).eval())
    return Encoder(folder, task, trained, Whole(asked.model).eval())


def asked_of(encoder: Encoder, given: Given | None) -> tuple[Recorder, list[Any]]:
    """The token ids that the original reads of the rows, and what it answers."""
    rows = own_rows(encoder.task) if given is None else given_rows(encoder.task, given)
    if given is None:
        which = "embedded sentences: --calibrate takes rows of your own"
    else:
        which = f"rows of {given.file.name}" + (f", the first {MOST}" if len(rows) == MOST else "")
    encoder.notes.append(f"checked and calibrated on {len(rows)} {which}")
    plain = RuntimeSettings(runtime="torch", precision="fp32", gives=encoder.whole.gives, width=encoder.whole.width, files={})
    runtime = TorchRuntime(plain, encoder.whole)
    pipeline = getattr(encoder.trained, "encoder", None)
    model = encoder.whole.model if pipeline is None else pipeline.model
    recorder = read_as_asked(encoder.trained, model, rows, runtime)
    if not recorder.ids:
        raise UsageError("there is no row to check the export on: give rows with --calibrate")
    return recorder, runtime.run(recorder.ids, recorder.types or None)


def export_encoder(
    encoder: Encoder, target: Path, to: To, precision: Precision, rows: Given | None, least: float | None, step: Step,
    *, static: bool = False,
) -> tuple[RuntimeSettings, Agreement]:  # fmt: skip
    """Write `target`, whole or not at all; `static`: onnxruntime's activations have fixed scales, too.

    Raises ModelError where the export is another model than the original.
    """
    if static and (to, precision) != ("onnx", "int8"):
        raise UsageError("--static is for int8 in onnx: openvino's scales are always fixed, other precisions have none")
    if to == "onnx" and "bf16" in precision:
        raise UsageError("onnxruntime has no bf16 arithmetic on a CPU: take --to openvino, or --precision int8")
    step(0.05, "reading rows")
    asked, wanted = asked_of(encoder, rows)
    step(0.15, "tracing")
    eased = smoothed(encoder.whole, _packed(asked)) if to == "onnx" and precision == "int8" else nullcontext()
    names = EncoderGraph(encoder.whole).names
    output = "token_logits" if encoder.whole.gives == "token" else "answer"
    with in_place(target) as whole:
        whole.mkdir()
        new = _write_rest(encoder, whole)
        batches = [] if "int8" not in precision else _batches(names, asked)
        with eased:  # NNCF smooths by itself
            program = trace(encoder.whole)
            step(0.2, f"writing for {to}")
            how = _write(program, new, to, precision, names, output, batches, static=static)
        settings = RuntimeSettings(
            runtime="onnxruntime" if to == "onnx" else "openvino",
            precision=precision,
            gives=encoder.whole.gives,
            width=encoder.whole.width,
            files=digests(new, sorted(p.name for p in new.iterdir() if p.name.startswith(_STEMS))),
            how=how,
        )
        write_settings(new, settings)
        step(0.4, "checking")
        runtime = open_runtime(new)
        assert runtime is not None
        found = agreement(encoder.kind, wanted, runtime.run(asked.ids, asked.types or None))
        runtime.close()
        found.check(precision, least, f"the export of {encoder.folder} to {to} in {precision}")
        step(0.2, "checked")
    return settings, found


def _write(
    program: torch.export.ExportedProgram, new: Path, to: To, precision: Precision, names: tuple[str, ...], output: str,
    batches: list[Any], *, static: bool,
) -> str:  # fmt: skip
    """The runtime's files; in words how."""
    if to == "openvino":
        write_openvino(program, new / openvino_runtime.MODEL, names, [output], precision, batches)
        return "static int8, SmoothQuant" if "int8" in precision else precision
    file = new / onnx_runtime.MODEL
    write_onnx(program, file, names, [output], {name: {0: "batch", 1: "length"} for name in names})
    if precision == "fp32":
        return precision
    plain = file.rename(new / "plain.onnx")
    if static:
        quantise_static(plain, file, batches)
    else:
        quantise_dynamic(plain, file)
    for left in new.glob("plain.onnx*"):
        left.unlink()
    return "static int8, SmoothQuant" if static else "dynamic int8, SmoothQuant"


def _spread(asked: Recorder) -> list[int]:
    """Rows for calibration, from all over."""
    return list(range(0, len(asked.ids), -(-len(asked.ids) // CALIBRATION)))


def _packed(asked: Recorder) -> list[Batch]:
    """They without padding, for the model itself."""
    chosen = _spread(asked)
    parts = by_tokens([len(asked.ids[i]) for i in chosen], TOKENS)
    rows = [[chosen[i] for i in part.tolist()] for part in parts]
    return [packed([asked.ids[i] for i in some], [asked.types[i] for i in some] if asked.types else None) for some in rows]


def _batches(names: tuple[str, ...], asked: Recorder) -> list[Any]:
    """They as rectangles of like lengths, for a graph."""
    chosen = _spread(asked)
    found = []
    for part in by_tokens([len(asked.ids[i]) for i in chosen], 512, 8, filled=True):
        rows = [chosen[i] for i in part.tolist()]
        types = [asked.types[i] for i in rows] if asked.types else None
        found.append(inputs_of(names, [asked.ids[i] for i in rows], types))
    return found


def _write_rest(encoder: Encoder, new: Path) -> Path:
    """What a folder has beside its weights: config, tokenizer, labels, thresholds, card, the modules after a Transformer.

    Where in it the Transformer lies: at its top, but for old folders of sentence-transformers.
    """
    folder, model = encoder.folder, encoder.whole.model
    root = model.folder or folder
    _, left = copy_rest(folder, new, set(open_tensors(root, mapped=True).files))
    encoder.notes += [left] if left else []
    for place in sorted(p for p in folder.glob("[0-9]*_*") if p.is_dir() and p != root):
        for file in place.glob("*.safetensors"):  # a module's own weights are few, and are read
            (new / file.relative_to(folder)).write_bytes(file.read_bytes())
    here = new / root.relative_to(folder)
    config = config_of(model.spec, model.config, torch.float32)
    (here / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    return here
