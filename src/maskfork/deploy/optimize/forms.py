"""What can be tried here: runtimes and precisions of a model's folder, each written once; and why the others cannot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import msgspec

from maskfork.deploy.export.run import Format, export
from maskfork.errors import MaskforkError, UsageError
from maskfork.learn.train.precision import has_bf16
from maskfork.models.device import best_device
from maskfork.models.runtimes.settings import (
    FILE,
    Precision,
    RuntimeName,
    RuntimeSettings,
    digests,
    read_settings,
    write_described,
    write_settings,
)
from maskfork.models.runtimes.whole import open_whole

ORIGINAL = "original"
PLAIN = "torch"  # how the original is run where its folder names no runtime
PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "torch": ("bf16", "int8", "int8+bf16"),
    "onnxruntime": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8", "int8+bf16"),
    "native": ("fp32", "bf16", "int8"),
}
#: the runtimes that read the model's own weights, and those that it is exported for
OWN: dict[str, RuntimeName] = {"torch": "torch", "native": "native"}
EXPORTED: dict[str, Format] = {"onnxruntime": "onnx", "openvino": "openvino"}
PACKAGES = {"onnxruntime": ("onnxruntime", "onnx"), "openvino": ("openvino", "nncf")}


@dataclass(frozen=True)
class Form:
    """A model (`base`: the original, or a student's name) in one runtime and precision; no runtime: as its folder is."""

    base: str
    runtime: str | None = None
    precision: str | None = None

    @property
    def name(self) -> str:
        how = "as it is" if self.runtime is None else f"{self.runtime} {self.precision}"
        return how if self.base == ORIGINAL else f"{self.base}, {how}"


@dataclass(frozen=True)
class Candidate:
    """A form with its threads, streams and batches; None where the form's usual ones are kept."""

    form: Form
    streams: int | None = None
    batch_tokens: int | None = None
    threads: int | None = None
    rows: int | None = None  # of a decoder: texts written together, and how keys and values are kept
    cache: str | None = None

    @property
    def name(self) -> str:
        more = [f"{n} streams" if n > 1 else "1 stream" for n in (self.streams,) if n]
        more += [f"{n} tokens a batch" for n in (self.batch_tokens,) if n]
        more += [f"{n} threads" if n > 1 else "1 thread" for n in (self.threads,) if n]
        more += [f"{n} texts together" if n > 1 else "a text at a time" for n in (self.rows,) if n]
        more += [f"{kept} cache" for kept in (self.cache,) if kept]
        return ", ".join([self.form.name, *more])


def runtimes_named(said: str, known: Collection[str] | None = None) -> tuple[str, ...]:
    """Runtimes by their names, commas between; `known` are those of another kind of model. Raises UsageError that lists them."""
    names = PRECISIONS if known is None else known
    wanted = tuple(part.strip() for part in said.split(",") if part.strip())
    strange = [part for part in wanted if part not in names]
    if strange or not wanted:
        raise UsageError(f"there is no runtime {strange[0] if strange else ''!r}: choose from {', '.join(names)}")
    return wanted


def possible(folder: Path, base: str, runtimes: Collection[str] | None = None) -> tuple[list[Form], dict[str, str]]:
    """The forms of a model that can be tried here in these runtimes (None: all), and name -> why for the others."""
    plain = Form(base)
    if not (folder / "config.json").is_file() or read_settings(folder) is not None:
        return [plain], {}
    try:
        open_whole(folder)
    except MaskforkError as error:
        return [plain], {f"{base} in a runtime": str(error)}
    found, left = [plain], {}
    for runtime, precisions in PRECISIONS.items():
        for precision in precisions if runtimes is None or runtime in runtimes else ():
            form = Form(base, runtime, precision)
            why = _why_not(runtime, precision)
            if why is None:
                found.append(form)
            else:
                left[form.name] = why
    return found, left


def _why_not(runtime: str, precision: str) -> str | None:
    if runtime not in get_args(RuntimeName):
        return "this maskfork has no such runtime"
    missing = [name for name in PACKAGES.get(runtime, ()) if find_spec(name) is None]
    if missing:
        return f"{missing[0]} is not installed (pip install 'maskfork[export]')"
    if "bf16" in precision and not has_bf16(best_device()):
        return "this processor has no bf16 arithmetic"
    return None


def write_form(folder: Path, form: Form, where: Path, rows: Path) -> Path:
    """The folder of a form, made from the model's `folder`; a file of `rows` calibrates where numbers are to be fitted.

    It is made whole or not at all. Raises what exporting raises.
    """
    if form.runtime is None:
        return folder
    if (where / FILE).is_file():
        return where
    part = where.with_name(f".{where.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if form.runtime in OWN:
        whole = open_whole(folder)
        linked(folder, part)
        weights = sorted(file.name for file in part.glob("*.safetensors"))
        settings = RuntimeSettings(
            runtime=OWN[form.runtime], precision=msgspec.convert(form.precision, Precision), gives=whole.gives, width=whole.width,
            files=digests(part, weights), how="the same weights, in fewer bits when they are loaded",
        )  # fmt: skip
        write_settings(part, settings)
    else:
        precision = msgspec.convert(form.precision, Precision)
        export(folder, part, to=EXPORTED[form.runtime], precision=precision, calibrate=rows)
    os.replace(part, where)
    return where


def write_candidate(made: Path, candidate: Candidate, where: Path) -> Path:
    """The folder of a form with this candidate's settings."""
    asked = {"streams": candidate.streams, "batch_tokens": candidate.batch_tokens, "threads": candidate.threads}
    return with_changes(made, where, FILE, read_settings, asked)


def with_changes(
    made: Path, where: Path, file: str, read: Callable[[Path], msgspec.Struct | None], asked: Mapping[str, object]
) -> Path:
    """A form's folder whose settings in `file` are as `asked`; the form's own where all of it is None."""
    changes = {name: value for name, value in asked.items() if value is not None}
    if not changes:
        return made
    shutil.rmtree(where, ignore_errors=True)
    linked(made, where)
    settings = read(made)
    assert settings is not None
    (where / file).unlink()  # it is linked, and the form's own is not to change
    write_described(where / file, msgspec.structs.replace(settings, **changes))
    return where


def linked(folder: Path, where: Path) -> None:
    """A copy of a folder that takes no room: hard links, copies where the file system has none."""

    def link(source: str, target: str) -> str:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
        return target

    shutil.copytree(folder, where, copy_function=link, ignore=shutil.ignore_patterns(".*"))
