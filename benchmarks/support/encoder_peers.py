"""Classifiers that are timed beside ours: each takes texts and gives logits [N, C], tokenising included."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.encoder_batches import Classify, batches, best_budget, in_batches, padded, tokens_of

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ours(folder: Path, texts: Sequence[str], precision: Any) -> Classify:
    """What `predict` and `serve` do with a folder whose runtime.json says native."""
    from benchmarks.support.encoder_graphs import once
    from maskfork.learn.tasks.classify import Sorter
    from maskfork.models.runtimes.settings import RuntimeSettings, write_settings
    from maskfork.models.runtimes.whole import open_whole

    def copied(to: Path) -> None:
        to.mkdir()
        for file in folder.iterdir():
            if file.is_file():
                (to / file.name).symlink_to(file.resolve())
        width = open_whole(folder).width
        write_settings(to, RuntimeSettings(runtime="native", precision=precision, gives="text", width=width, files={}))

    return Sorter.open(once(folder, f"native-{precision}", copied)).logits


def pipeline(folder: Path, texts: Sequence[str], batch: int) -> Classify:
    import transformers

    transformers.logging.set_verbosity_error()
    pipe = transformers.pipeline(
        "text-classification", model=str(folder), device=-1, batch_size=batch, top_k=None, truncation=True
    )
    labels = [name for _, name in sorted(pipe.model.config.id2label.items())]

    def classify(texts: Sequence[str]) -> np.ndarray:
        said = pipe(list(texts), function_to_apply="none")
        return np.array([[next(s["score"] for s in one if s["label"] == name) for name in labels] for one in said])

    return classify


def sentence_transformers(folder: Path, texts: Sequence[str]) -> Classify:
    """Its `encode` of the same body, pooled: it has no classifier, a head costs nothing beside it."""
    from sentence_transformers import SentenceTransformer, models

    body = models.Transformer(str(folder), max_seq_length=512)
    encoder = SentenceTransformer(modules=[body, models.Pooling(body.get_embedding_dimension())], device="cpu")
    return lambda texts: np.asarray(encoder.encode(list(texts), batch_size=32))


def onnxruntime(folder: Path, texts: Sequence[str]) -> Classify:
    import onnxruntime as engine

    from benchmarks.support.encoder_graphs import once, onnx_int8

    file = once(folder, "onnx-int8.onnx", lambda to: onnx_int8(folder, to))
    options = engine.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads, options.inter_op_num_threads = 3, CORES, 1
    session = engine.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = {one.name for one in session.get_inputs()}

    def one(tokens: np.ndarray, mask: np.ndarray) -> np.ndarray:
        given = {"input_ids": tokens, "attention_mask": mask.astype(np.int64), "token_type_ids": np.zeros_like(tokens)}
        return np.asarray(session.run(None, {name: given[name] for name in names})[0])

    return best_budget(lambda budget: in_batches(folder, budget, one), texts, (512, 1024, 2048, 4096))


def openvino(folder: Path, texts: Sequence[str], streams: int, low: bool, hint: str, int8: bool = True) -> Classify:
    import openvino as engine

    from benchmarks.support.encoder_graphs import once, openvino_file

    core = engine.Core()
    file = once(folder, "openvino-int8.xml" if int8 else "openvino.xml", lambda to: openvino_file(folder, to, texts, int8))
    how = {"PERFORMANCE_HINT": hint, "NUM_STREAMS": str(streams), "INFERENCE_NUM_THREADS": str(CORES),
           "INFERENCE_PRECISION_HINT": "bf16" if low else "f32"}  # fmt: skip
    compiled = core.compile_model(core.read_model(str(file)), "CPU", how)
    encode, names = tokens_of(folder), [port.get_any_name() for port in compiled.inputs]

    def make(budget: int) -> Classify:
        queue = engine.AsyncInferQueue(compiled, streams)

        def classify(texts: Sequence[str]) -> np.ndarray:
            ids, out = encode(texts), {}

            def done(request: Any, rows: list[int]) -> None:
                for row, said in zip(rows, request.get_output_tensor(0).data.copy(), strict=True):
                    out[row] = said

            queue.set_callback(done)
            for rows in batches([len(i) for i in ids], budget):
                tokens, mask = padded([ids[i] for i in rows])
                given = {"input_ids": tokens, "attention_mask": mask.astype(np.int64), "token_type_ids": np.zeros_like(tokens)}
                queue.start_async({name: given[name] for name in names}, rows)
            queue.wait_all()
            return np.stack([out[i] for i in range(len(ids))])

        return classify

    return best_budget(make, texts, (256, 512, 1024, 2048, 4096))


def ctranslate2(folder: Path, texts: Sequence[str]) -> Classify:
    import ctranslate2 as engine
    import torch

    from benchmarks.support.encoder_graphs import once, theirs

    def convert(to: Path) -> None:
        engine.converters.TransformersConverter(str(folder)).convert(str(to), quantization="int8", force=True)

    encoder = engine.Encoder(str(once(folder, "ctranslate2", convert)), intra_threads=1, inter_threads=CORES, compute_type="int8")
    model, encode = theirs(folder), tokens_of(folder)

    @torch.inference_mode()
    def head(first: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(first)
        if hasattr(model, "pre_classifier"):
            said: np.ndarray = model.classifier(torch.relu(model.pre_classifier(x))).numpy()
        else:
            said = model.classifier(torch.tanh(model.bert.pooler.dense(x))).numpy()
        return said

    def make(budget: int) -> Classify:
        def some(ids: list[list[int]]) -> np.ndarray:
            return np.asarray(encoder.forward_batch(ids).last_hidden_state)[:, 0]

        def classify(texts: Sequence[str]) -> np.ndarray:
            ids = encode(texts)
            parts = list(batches([len(i) for i in ids], budget))
            out = np.empty((len(ids), model.config.hidden_size), np.float32)
            with ThreadPoolExecutor(CORES) as pool:
                for rows, said in zip(parts, pool.map(some, ([ids[i] for i in rows] for rows in parts)), strict=True):
                    out[rows] = said
            return head(out)

        return classify

    return best_budget(make, texts, (512, 1024, 2048, 4096))


def contenders() -> dict[str, Any]:
    """By name: a function of (folder, texts to tune with) that gives a classifier."""
    return {
        "ours int8": lambda f, t: ours(f, t, "int8+bf16"),
        "ours bf16": lambda f, t: ours(f, t, "bf16"),
        "openvino int8+bf16 2 streams": lambda f, t: openvino(f, t, 2, True, "THROUGHPUT"),
        "openvino int8 2 streams": lambda f, t: openvino(f, t, 2, False, "THROUGHPUT"),
        "openvino int8+bf16 1 stream": lambda f, t: openvino(f, t, 1, True, "LATENCY"),
        "openvino int8 1 stream": lambda f, t: openvino(f, t, 1, False, "LATENCY"),
        "openvino bf16 2 streams": lambda f, t: openvino(f, t, 2, True, "THROUGHPUT", int8=False),
        "ctranslate2 int8": ctranslate2,
        "onnxruntime int8": onnxruntime,
        "sentence-transformers": sentence_transformers,
        "transformers pipeline 32": lambda f, t: pipeline(f, t, 32),
        "transformers pipeline 1": lambda f, t: pipeline(f, t, 1),
    }
