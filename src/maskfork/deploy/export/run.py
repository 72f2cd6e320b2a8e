"""`maskfork export`: which way a model goes, by what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from maskfork.deploy.export.encoder import export_encoder, open_encoder
from maskfork.errors import UsageError
from maskfork.models.formats.convert import convert
from maskfork.models.formats.place import check_place
from maskfork.models.hub import find_folder
from maskfork.models.runtimes.settings import Precision

Format = Literal["onnx", "openvino", "safetensors"]
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
    source: str | Path, target: Path, *, to: Format, precision: Precision | None = None, calibrate: Path | None = None,
    agree: float | None = None, force: bool = False, step: Step | None = None,
) -> Export:  # fmt: skip
    """Write a model for another runtime; nothing is at `target` before it was checked against the original.

    `calibrate`: rows to check on, and to take int8's scales from; `agree`: the least agreement (see `agreement.py`).
    Raises UsageError, ModelError, DataError, TokenizerError.
    """
    told = step or (lambda share, said: None)
    folder, target = find_folder(source), Path(target).expanduser()
    if to == "safetensors":
        return _to_safetensors(folder, target, precision, force, told)
    check_place(target, force=force)
    encoder = open_encoder(folder)
    settings, found = export_encoder(encoder, target, to, precision or "fp32", calibrate, agree, told)
    numbers: dict[str, float | int | str] = {
        "kind": found.kind, "rows": found.rows, "agree": found.agree, "worst": found.worst, "largest": found.largest
    }  # fmt: skip
    said = f"{settings.how}: {found}"
    return Export(str(folder), str(target), to, settings.precision, sizes(target), said, numbers, encoder.notes)


def _to_safetensors(folder: Path, target: Path, precision: Precision | None, force: bool, step: Step) -> Export:
    if precision not in (None, "fp32", "bf16"):
        raise UsageError(f"safetensors hold no {precision} here: take fp32 or bf16, or --to gguf, onnx or openvino")
    dtype = None if precision is None else {"fp32": "float32", "bf16": "bfloat16"}[precision]
    done = convert(folder, target, to="safetensors", dtype=dtype, force=force, progress=step)
    kinds, said = ", ".join(done.dtypes), f"{done.tensors} tensors read back and equal"
    return Export(str(folder), str(target), "safetensors", kinds, sizes(target), said, {}, done.notes)


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file in a folder."""
    return {str(p.relative_to(folder)): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}
