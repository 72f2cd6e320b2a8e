"""`maskfork export`: which way a model goes, by what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from maskfork.deploy.export.agreement import Agreement
from maskfork.deploy.export.encoder import export_encoder, open_encoder
from maskfork.deploy.export.gguf import export_gguf
from maskfork.deploy.export.gguf_encoder import export_gguf_encoder
from maskfork.deploy.export.rows import Given
from maskfork.deploy.export.writing import export_writer
from maskfork.errors import UsageError
from maskfork.models.formats.convert import convert
from maskfork.models.formats.place import check_place
from maskfork.models.hub import find_folder, load, named_head

Format = Literal["onnx", "openvino", "gguf", "safetensors"]
Bits = Literal["fp32", "bf16", "int8", "int4"]
Step = Callable[[float, str], None]


@dataclass
class Export:
    """What was written. `said` is how it agrees with the original, in a sentence; `agreement` its numbers."""

    source: str
    target: str
    to: Format
    precision: str
    files: dict[str, int]  # bytes
    said: str
    agreement: dict[str, float | int | str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def export(
    source: str | Path, target: Path, *, to: Format, precision: Bits | None = None, calibrate: Path | Given | None = None,
    agree: float | None = None, static: bool = False, force: bool = False, step: Step | None = None,
) -> Export:  # fmt: skip
    """Write a model for another runtime; nothing is at `target` before it was checked against the original.

    `calibrate`: rows to check on, and to take int8's scales from; `agree`: the least agreement (see `agreement.py`).
    Raises UsageError, ModelError, DataError, TokenizerError.
    """
    told = step or (lambda share, said: None)
    folder, target = find_folder(source), Path(target).expanduser()
    rows = Given(calibrate) if isinstance(calibrate, Path) else calibrate
    _fit(to, rows, agree, static=static, decodes=to != "safetensors" and writes(folder))
    if to == "safetensors":
        return _to_safetensors(folder, target, precision, force, told)
    check_target(to, target)
    check_place(target, force=force)
    if writes(folder):
        return _writer(folder, target, to, precision, rows, agree, told)
    if precision == "int4":
        raise UsageError("int4 is for a decoder's weights, which are read once a token: take int8 for an encoder")
    encoder = open_encoder(folder)
    if to == "gguf":
        bits = precision or "fp32"
        found = export_gguf_encoder(encoder, target, bits, rows, agree, told)
        size = {target.name: target.stat().st_size}
        return Export(str(folder), str(target), to, bits, size, str(found), numbers_of(found), encoder.notes)
    settings, found = export_encoder(encoder, target, to, precision or "fp32", rows, agree, told, static=static)
    said = f"{settings.how}: {found}"
    return Export(str(folder), str(target), to, settings.precision, sizes(target), said, numbers_of(found), encoder.notes)


def _fit(to: Format, rows: Given | None, agree: float | None, *, static: bool, decodes: bool) -> None:
    """Raises UsageError for what this export would not look at."""
    if agree is not None and not 0.0 < agree <= 1.0:
        raise UsageError(f"--agree is {agree:g}: give a share above 0 and up to 1, as 0.98")
    if static and (decodes or to != "onnx"):
        raise UsageError("--static is for an encoder's int8 in onnx: leave it out")
    if to == "safetensors" and (rows is not None or agree is not None):
        raise UsageError("safetensors hold the same numbers, which are read back: leave --calibrate and --agree out")
    if rows is not None and rows.pair is not None and decodes:
        raise UsageError("a model that writes is compared on texts, one by one: leave --pair out")


def writes(folder: Path) -> bool:
    """Whether a model writes text: a decoder, an encoder-decoder."""
    return named_head(folder) == "causal_lm"


def _writer(
    folder: Path, target: Path, to: Format, precision: Bits | None, rows: Given | None, agree: float | None, step: Step
) -> Export:
    bits, model = precision or "fp32", load(folder)
    if to == "gguf":
        found, notes = export_gguf(model, folder, target, bits, rows, agree, step)
        return Export(
            str(folder), str(target), to, bits, {target.name: target.stat().st_size}, str(found), numbers_of(found), notes
        )
    if to == "openvino":
        raise UsageError("a model that writes is exported to onnx or gguf: openvino is for encoders here")
    if bits == "bf16":
        raise UsageError("onnxruntime has no bf16 arithmetic on a CPU: take int8, int4, or --to gguf")
    found, notes = export_writer(model, folder, target, bits, rows, agree, step)
    return Export(str(folder), str(target), to, bits, sizes(target), str(found), numbers_of(found), notes)


def check_target(to: Format, target: Path) -> None:
    """Raises UsageError where a file's name is given for a folder, or a folder's for a file."""
    if (to == "gguf") != (target.suffix == ".gguf"):
        cure = f"name one, as {target / 'model.gguf'}" if to == "gguf" else "name a folder"
        raise UsageError(f"{target} is no place for {to}, which is {'one file' if to == 'gguf' else 'a folder'}: {cure}")


def numbers_of(found: Agreement) -> dict[str, float | int | str]:
    return {"kind": found.kind, "rows": found.rows, "agree": found.agree, "worst": found.worst, "largest": found.largest}


def _to_safetensors(folder: Path, target: Path, precision: Bits | None, force: bool, step: Step) -> Export:
    if precision not in (None, "fp32", "bf16"):
        raise UsageError(f"safetensors hold no {precision} here: take fp32 or bf16, or --to gguf, onnx or openvino")
    dtype = None if precision is None else {"fp32": "float32", "bf16": "bfloat16"}[precision]
    done = convert(folder, target, to="safetensors", dtype=dtype, force=force, progress=step)
    kinds, said = ", ".join(done.dtypes), f"{done.tensors} tensors read back and equal"
    return Export(str(folder), str(target), "safetensors", kinds, sizes(target), said, {}, done.notes)


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file in a folder."""
    return {str(p.relative_to(folder)): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}
