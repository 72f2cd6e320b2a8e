"""What can read a decoder's tokens here: engines and bits of its folder, each written once; and why the others cannot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

import msgspec

from maskfork.core.cache_sliding import looks_back
from maskfork.deploy.export.run import export, writes
from maskfork.deploy.optimize.forms import Candidate, Form, linked, with_changes
from maskfork.learn.train.precision import has_bf16
from maskfork.models.device import best_device
from maskfork.models.hub import load, read_config, sketch
from maskfork.models.model import Model
from maskfork.models.native import refusal
from maskfork.models.runtimes.settings import digests
from maskfork.models.runtimes.writing import FILE, GGUF, Bits, Engine, KeptAs, WritingSettings, read_writing, write_writing

ENGINES: dict[str, tuple[Bits, ...]] = {
    "torch": ("bf16", "int8", "int4"),
    "native": ("fp32", "bf16", "int8"),
    "llama.cpp": ("fp32", "bf16", "int8", "int4"),
}
AGREES = 0.95  # of the likeliest next tokens, where nobody says how many
PACKAGES = {"llama.cpp": ("llama_cpp", "gguf")}
TOGETHER = (1, 8)  # texts written together, beside the usual 64
CACHES: tuple[KeptAs, ...] = ("growing", "int8")  # of torch, beside the usual static one


def is_decoder(folder: Path) -> bool:
    """Whether the model in a folder goes on with texts (an encoder-decoder writes from them)."""
    if not (folder / "config.json").is_file() or not writes(folder):
        return False
    return sketch(read_config(folder), {}).spec.fork == "decoder"


def possible(
    folder: Path, base: str, engines: Collection[str] | None = None, *, scored: bool = False
) -> tuple[list[Form], dict[str, str]]:
    """The forms that can be tried here in these engines (None: all), and name -> why for the others.

    `scored`: a task whose labels are read by their likelihood, for which llama.cpp is not asked.
    """
    plain = Form(base)
    if read_writing(folder) is not None:
        return [plain], {}
    found, left, model = [plain], dict[str, str](), load(folder)
    for engine, precisions in ENGINES.items():
        for precision in precisions if engines is None or engine in engines else ():
            form = Form(base, engine, precision)
            why = (
                "the likelihood of labels is not read by llama.cpp"
                if scored and engine == "llama.cpp"
                else _why_not(model, engine, precision)
            )
            if why is None:
                found.append(form)
            else:
                left[form.name] = why
    return found, left


def _why_not(model: Model, engine: str, precision: str) -> str | None:
    missing = [name for name in PACKAGES.get(engine, ()) if find_spec(name) is None]
    if missing:
        return f"{missing[0]} is not installed (pip install 'maskfork[llama]')"
    if precision == "bf16" and engine == "torch" and not has_bf16(best_device()):
        return "this processor has no bf16 arithmetic"
    return refusal(model) if engine == "native" else None


def write_form(folder: Path, form: Form, where: Path) -> Path:
    """The folder of a form, made from the model's `folder`, whole or not at all. Raises what exporting raises."""
    if form.runtime is None:
        return folder
    if (where / FILE).is_file():
        return where
    part = where.with_name(f".{where.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    linked(folder, part)
    engine, precision = msgspec.convert(form.runtime, Engine), msgspec.convert(form.precision, Bits)
    files = sorted(file.name for file in part.glob("*.safetensors"))
    if engine == "llama.cpp":  # what it loses is judged on the user's rows, like all others
        export(folder, part / GGUF, to="gguf", precision=precision, agree=0.0)
        files.append(GGUF)
    write_writing(part, WritingSettings(engine=engine, precision=precision, files=digests(part, files)))
    os.replace(part, where)
    return where


def write_candidate(made: Path, candidate: Candidate, where: Path) -> Path:
    """The folder of a form with this candidate's settings."""
    asked = {"rows": candidate.rows, "cache": candidate.cache, "threads": candidate.threads}
    return with_changes(made, where, FILE, read_writing, asked)


def variants(folder: Path, form: Form, cores: int) -> list[Candidate]:
    """A good form with half of the threads, fewer texts together, and in torch with other caches."""
    found = [Candidate(form, threads=cores // 2)] if cores > 1 else []
    found += [Candidate(form, rows=rows) for rows in TOGETHER]
    if form.runtime == "torch":
        sliding = any(looks_back(rule) is not None for rule in sketch(read_config(folder), {}).spec.main.masks)
        found += [Candidate(form, cache=cache) for cache in (*CACHES, *(("sliding",) if sliding else ()))]
    return found
