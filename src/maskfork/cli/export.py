"""`maskfork export`: a model for another runtime, checked on rows against the original."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, progress, say
from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.deploy.export.run import Export


def export(
    model: str,
    *,
    to: Literal["onnx", "openvino", "gguf", "safetensors"],
    output: Annotated[Path, Parameter(alias="-o")],
    precision: Literal["fp32", "bf16", "int8", "int4"] | None = None,
    calibrate: Path | None = None,
    text: str | None = None,
    pair: str | None = None,
    agree: float | None = None,
    static: bool = False,
    force: bool = False,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Write a model for another runtime. Nothing stands at OUT before its answers were compared with the original's.

    An encoder's folder keeps its tokenizer, labels, thresholds and card, and `maskfork predict` and `maskfork serve` open it.

    Parameters
    ----------
    model
        Folder of a trained model, a sentence encoder, a reranker, a decoder or an encoder-decoder; or a Hub id, or a
        model that comes along.
    to
        onnx (onnxruntime), openvino, gguf (llama.cpp; decoders, sentence encoders of the BERT kind), or safetensors (the Hub's
        layout).
    output
        The folder to write; for gguf the file.
    precision
        fp32 where nothing is said. int8: activations by scales of their own (onnx) or fixed ones (openvino), both smoothed.
        int4: a decoder's weights (onnx, gguf).
    calibrate
        A file of rows as the model reads them: the export is checked on them, and int8 takes its scales from them. Without it
        embedded sentences serve.
    text
        With --calibrate: the column of the texts, where its name does not tell.
    pair
        With --calibrate: the column of the second texts.
    agree
        The least agreement with the original that is still the same model: share of the same labels, mean cosine of vectors,
        correlation of numbers. 0.98 for bf16, 0.95 for int8; of fp32 every number must be the same to 1e-4.
    static
        With --to onnx --precision int8: fixed scales for activations, which onnxruntime computes faster and less exactly.
    force
        Replace what stands at OUT.
    """
    from maskfork.cli.where import model_place
    from maskfork.deploy.export.rows import Given
    from maskfork.deploy.export.run import export as run

    if calibrate is None and (text or pair):
        raise UsageError("--text and --pair name columns of rows: give the file with --calibrate")
    rows = None if calibrate is None else Given(calibrate, text, pair)
    with progress("exporting", 100) as step:
        done = run(
            model_place(model), output, to=to, precision=precision, calibrate=rows, agree=agree, static=static, force=force,
            step=lambda share, said: step(100 * share, said),
        )  # fmt: skip
    if json:
        emit_json(done)
        return
    emit(_lines(done))
    for note in done.notes:
        say(note)


def _lines(done: Export) -> str:
    size = sum(done.files.values()) / 1e6
    files = "1 file" if len(done.files) == 1 else f"{len(done.files)} files"
    return f"{done.source} -> {done.target} ({done.to}, {done.precision})\n{size:,.1f} MB in {files}; {done.said}"
