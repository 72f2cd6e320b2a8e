"""Decoders and encoder-decoders to ONNX: written, read back by onnxruntime token by token, and compared with the model.

A text is read as a writer reads it: its first half at once, then a token a time through the cache; of an encoder-decoder the
text is the source, and what is compared is the text said again.

Legend: S tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from maskfork.deploy.export.agreement import Agreement, agreement
from maskfork.deploy.export.onnx import quantise_dynamic, quantise_weights, write_onnx
from maskfork.deploy.export.quiet import quiet
from maskfork.deploy.export.rows import SENTENCES, Given
from maskfork.deploy.export.writer import Graph, decoder_graph, source_graph
from maskfork.errors import DataError, UsageError
from maskfork.learn.data.unlabelled import read_texts
from maskfork.models.encode import limit_of
from maskfork.models.formats.belongs import copy_rest
from maskfork.models.formats.place import in_place
from maskfork.models.formats.tensors import open_tensors
from maskfork.models.model import Model
from maskfork.models.runtimes.contract import FloatArray
from maskfork.models.runtimes.onnx import session_of

Bits = Literal["fp32", "int8", "int4"]
Step = Callable[[float, str], None]
DECODER, SOURCE = "decoder_model.onnx", "encoder_model.onnx"
ALONE = "model.onnx"  # a decoder without an encoder
TEXTS, LONGEST = 24, 48  # what is read token by token


def texts_of(model: Model, given: Given | None) -> list[list[int]]:
    """Token ids of the texts that an export is compared on. Raises DataError, TokenizerError."""
    texts = list(SENTENCES) if given is None else read_texts(given.file, text=given.text)[0]
    limit = limit_of(model, LONGEST)
    found = [e.ids for e in model.tokenizer.encode_many(texts[:TEXTS], limit=limit)]
    found = [ids for ids in found if len(ids) > 1]
    if not found:
        raise DataError("no text has two tokens to compare the export on: give longer ones with --calibrate")
    return found


class Written:
    """The graphs in a folder, as onnxruntime reads them."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.reads = model.spec.fork == "encoder-decoder"
        self.session = session_of(folder / (DECODER if self.reads else ALONE))
        self.source = session_of(folder / SOURCE) if self.reads else None
        attention = model.spec.main.attention
        self.start = model.spec.decoder_start_id or 0
        self.empty = {
            one.name: np.zeros((1, attention.num_kv_heads, 0, one.shape[3]), np.float32)
            for one in self.session.get_inputs()
            if one.name.startswith("past_key_values")
        }

    def logits(self, ids: list[int]) -> FloatArray:
        """[S, V]: the first half at once, then one token after the other."""
        more: dict[str, Any] = {}
        if self.source is not None:
            asked = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
            names = [one.name for one in self.source.get_outputs()]
            more = dict(zip(names, self.source.run(None, asked), strict=True))
            more["encoder_attention_mask"] = asked["attention_mask"]
            ids = [self.start, *ids[:-1]]
        held, said = dict(self.empty), []
        half = max(1, len(ids) // 2)
        for begin, end in [(0, half), *((i, i + 1) for i in range(half, len(ids)))]:
            asked = {"input_ids": np.array([ids[begin:end]]), "attention_mask": np.ones((1, end), np.int64), **held, **more}
            logits, *present = self.session.run(None, asked)
            held = dict(zip(self.empty, present, strict=True))
            said.append(logits[0])
        return np.concatenate(said)


def wanted_of(model: Model, texts: Sequence[list[int]]) -> list[FloatArray]:
    """The model's own logits [S, V] of each text."""
    found = []
    with torch.no_grad():
        for ids in texts:
            tokens = torch.tensor([ids])
            if model.spec.fork == "encoder-decoder":
                said = torch.tensor([[model.spec.decoder_start_id or 0, *ids[:-1]]])
                found.append(model(tokens, decoder_input_ids=said).logits[0].float().numpy())
            else:
                found.append(model(tokens).logits[0].float().numpy())
    return found


def export_writer(
    model: Model, folder: Path, target: Path, precision: Bits, rows: Given | None, least: float | None, step: Step
) -> tuple[Agreement, list[str]]:
    """Write `target`, whole or not at all: how it agrees, and what is to be said. Raises ModelError, UsageError."""
    if model.adapters is not None:
        raise UsageError(f"{folder} is an adapter on a base: write the two as one model first")
    texts = texts_of(model, rows)
    which = "embedded sentences" if rows is None else f"texts of {rows.file.name}"
    notes = [f"compared on {len(texts)} {which}, read token by token"]
    step(0.1, "tracing")
    graphs = {DECODER if model.spec.fork == "encoder-decoder" else ALONE: decoder_graph(model)}
    if model.spec.fork == "encoder-decoder":
        graphs[SOURCE] = source_graph(model)
    with in_place(target) as new:
        new.mkdir()
        _, left = copy_rest(folder, new, set(open_tensors(folder, mapped=True).files))
        notes += [left] if left else []
        for name, graph in graphs.items():
            step(0.5 / len(graphs), f"writing {name}")
            _write(graph, new / name, precision)
        step(0.2, "checking")
        with quiet():
            written = Written(new, model)
            found = agreement("labels", wanted_of(model, texts), [written.logits(ids) for ids in texts])
        found.check(precision, least, f"the export of {folder} to onnx in {precision}")
        step(0.2, "checked")
    return found, notes


def _write(graph: Graph, file: Path, precision: Bits) -> None:
    if precision == "fp32":
        write_onnx(graph.program, file, graph.inputs, graph.outputs, graph.sizes)
        return
    plain = file.with_name("plain.onnx")
    write_onnx(graph.program, plain, graph.inputs, graph.outputs, graph.sizes)
    (quantise_dynamic if precision == "int8" else quantise_weights)(plain, file)
    for left in file.parent.glob("plain.onnx*"):
        left.unlink()
