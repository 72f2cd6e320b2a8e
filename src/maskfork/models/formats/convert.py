"""A checkpoint from one format to another: every tensor read back and compared before the result takes its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from maskfork.errors import ModelError, TokenizerError, UsageError
from maskfork.models.formats.belongs import copy_rest, module_folders
from maskfork.models.formats.llama2c import Llama2cTensors, is_llama2c, open_llama2c, shape_of, write_llama2c
from maskfork.models.formats.llama2c_tokenizer import read_tokenizer_bin, write_tokenizer_bin
from maskfork.models.formats.place import check_place, in_place
from maskfork.models.formats.tensors import PICKLE, SAFE, Tensors, has_tensors, open_tensors
from maskfork.models.formats.write import write_tensors
from maskfork.models.hub import find_folder, read_config
from maskfork.models.tokenizers.read import has_tokenizer, load_tokenizer

Format = Literal["safetensors", "pickle", "llama2c", "llama2c-v1"]
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
VERSIONS = {"llama2c": 0, "llama2c-v1": 1}

Progress = Callable[[float, str], None]


@dataclass
class Conversion:
    """What was done. `dtypes` counts tensors by their type in the result; `bytes` are the tensors'."""

    source: str
    source_format: str
    target: str
    target_format: str
    tensors: int = 0
    parameters: int = 0
    bytes: int = 0
    dtypes: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def convert(
    source: str | Path,
    target: str | Path,
    *,
    to: Format | None = None,
    shard_size: int | None = None,
    dtype: str | None = None,
    tokenizer: str | Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Conversion:
    """Write `source` (a folder, a Hub id, or a llama2.c file) to `target` (a folder, or a file for llama2.c).

    `to` None is llama2c for a target that ends in .bin, else safetensors. `shard_size` in bytes; `dtype` casts floating
    tensors; `tokenizer` names a llama2.c vocabulary. What else belongs to the model is copied. Nothing is at `target` before
    all is there and has been read back. Raises UsageError, ModelError, TokenizerError.
    """
    target = Path(target).expanduser()
    chosen: Format = to or ("llama2c" if target.suffix == ".bin" else "safetensors")
    _check_question(chosen, target, shard_size, dtype, tokenizer)
    file = Path(source).expanduser()
    if file.is_file():
        return _from_llama2c(file, target, chosen, shard_size, dtype, tokenizer, force, progress)
    if tokenizer is not None:
        raise UsageError("--tokenizer is for a llama2.c file, and the source is a folder with its own: leave it out")
    folder = find_folder(source)
    _check_apart(folder, target)
    config = read_config(folder)
    _check_quantised(config, dtype)
    if chosen in VERSIONS:
        return _to_llama2c(folder, config, target, chosen, force, progress)
    return _between_folders(folder, config, target, chosen, shard_size, dtype, force, progress)


def _between_folders(
    folder: Path, config: dict[str, Any], target: Path, to: Format, shard_size: int | None, dtype: str | None, force: bool,
    progress: Progress | None,
) -> Conversion:  # fmt: skip
    """The root's weights, and those of the modules that it names (sentence-transformers' Dense)."""
    places = [folder, *(place for place in module_folders(folder) if has_tensors(place))]
    sources = {place.relative_to(folder): open_tensors(place, mapped=True) for place in places}
    check_place(target, force=force)
    done = Conversion(str(folder), sources[Path()].kind, str(target), to)
    step = _steps(progress, sum(len(s.names) for s in sources.values()))
    with in_place(target) as new:
        new.mkdir()
        done.copied, left = copy_rest(folder, new, {file for s in sources.values() for file in s.files})
        done.notes += [left] if left else []
        for place, tensors in sources.items():
            (new / place).mkdir(exist_ok=True)
            _write(tensors, new / place, to, shard_size, DTYPES.get(dtype or ""), done, step, place)
        if dtype is not None:
            _name_dtype(new / "config.json", config, dtype)
    return done


def _from_llama2c(
    file: Path, target: Path, to: Format, shard_size: int | None, dtype: str | None, tokenizer: str | Path | None, force: bool,
    progress: Progress | None,
) -> Conversion:  # fmt: skip
    if not is_llama2c(file):
        raise ModelError(f"{file} is no binary of llama2.c: for any other checkpoint give the folder that it lies in")
    _check_apart(file, target)
    tensors = open_llama2c(file)
    shape = tensors.shape
    words = _vocabulary(file, shape.vocab, tokenizer)
    check_place(target, force=force)
    done = Conversion(str(file), tensors.kind, str(target), to)
    if words is None:
        done.notes.append(f"no tokenizer.bin or tok{shape.vocab}.bin beside {file.name}, so the folder has no tokenizer")
    step = _steps(progress, len(tensors.names))
    if to in VERSIONS:
        with in_place(target) as new:
            _write_llama2c(new, tensors, shape.config(), VERSIONS[to], done, step)
        return done
    read = None if words is None else read_tokenizer_bin(words, shape.vocab)
    with in_place(target) as new:
        new.mkdir()
        _write(tensors, new, to, shard_size, DTYPES.get(dtype or ""), done, step, Path())
        config = {**shape.config(), **({} if dtype is None else {"dtype": dtype})}
        (new / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        if read is not None:
            read.save(new)
            done.copied += ["tokenizer.json", "tokenizer_config.json"]
    return done


def _to_llama2c(
    folder: Path, config: dict[str, Any], target: Path, to: Format, force: bool, progress: Progress | None
) -> Conversion:  # fmt: skip
    tensors = open_tensors(folder, mapped=True)
    check_place(target, force=force)
    words = target.with_name("tokenizer.bin")
    done = Conversion(str(folder), tensors.kind, str(target), to)
    step = _steps(progress, len(tensors.names))
    with in_place(target) as new:
        _write_llama2c(new, tensors, config, VERSIONS[to], done, step)
    if not has_tokenizer(folder):
        done.notes.append("the folder has no tokenizer, so no tokenizer.bin was written")
    elif words.exists() and not force:
        done.notes.append(f"{words} is already there and was left as it is; --force replaces it")
    else:
        try:
            with in_place(words) as new:
                write_tokenizer_bin(new, load_tokenizer(folder), config["vocab_size"])
            done.files.append(words.name)
        except TokenizerError as error:
            done.notes.append(f"no tokenizer.bin was written: {error}")
    return done


def _write(
    source: Tensors, folder: Path, to: Format, limit: int | None, cast: torch.dtype | None, done: Conversion,
    step: Callable[[str], None], place: Path,
) -> None:  # fmt: skip
    """One set of weights into its folder, then every tensor compared with what was meant."""

    def meant(name: str) -> Tensor:
        tensor = source.read(name)
        return tensor.to(cast) if cast is not None and tensor.is_floating_point() else tensor

    def taken(name: str) -> Tensor:
        step(f"writing {name}")
        return meant(name)

    sizes: dict[str, int] = {}
    for name in source.names:
        tensor = source.read(name)
        size = tensor.element_size() if cast is None or not tensor.is_floating_point() else cast.itemsize
        sizes[name] = tensor.numel() * size
    files = write_tensors(folder, source.names, sizes, taken, SAFE if to == "safetensors" else PICKLE, limit)
    done.files += [str(place / file.name) for file in files]
    _compare(open_tensors(folder, mapped=True), source.names, meant, done, step)


def _write_llama2c(
    file: Path, source: Tensors, config: dict[str, Any], version: int, done: Conversion, step: Callable[[str], None]
) -> None:
    try:
        shape = shape_of(config, source, version)
    except KeyError as error:
        raise ModelError(f"config.json lacks {error}: the file is not complete") from error

    def taken(name: str) -> Tensor:
        step(f"writing {name}")
        return source.read(name)

    write_llama2c(file, shape, taken)
    written = open_llama2c(file)
    _compare(written, written.names, lambda name: source.read(name).float(), done, step)
    done.files.append(Path(done.target).name)


def _compare(
    written: Tensors, names: tuple[str, ...], meant: Callable[[str], Tensor], done: Conversion, step: Callable[[str], None]
) -> None:
    """Every tensor bit for bit. Raises ModelError where one is not what it should be."""
    if set(written.names) != set(names):
        raise ModelError(f"what was written has other tensors than {done.source}: the disk may be failing, nothing was kept")
    for name in names:
        tensor, wanted = written.read(name), meant(name)
        alike = tensor.dtype == wanted.dtype and tensor.shape == wanted.shape
        if not alike or not torch.equal(_bits(tensor), _bits(wanted)):
            raise ModelError(f"{name} was read back otherwise than it was written: the disk may be failing, nothing was kept")
        kind = str(tensor.dtype).removeprefix("torch.")
        done.tensors += 1
        done.parameters += tensor.numel()
        done.bytes += tensor.numel() * tensor.element_size()
        done.dtypes[kind] = done.dtypes.get(kind, 0) + 1
        step(f"checking {name}")


def _bits(tensor: Tensor) -> Tensor:
    """The bytes, so that what is not a number is equal to itself."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _name_dtype(file: Path, config: dict[str, Any], dtype: str) -> None:
    key = "torch_dtype" if "torch_dtype" in config and "dtype" not in config else "dtype"
    file.write_text(json.dumps({**config, key: dtype}, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _vocabulary(file: Path, size: int, named: str | Path | None) -> Path | None:
    """The tokenizer of a llama2.c file: the one that is named, or the usual ones beside it."""
    if named is not None:
        path = Path(named).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no file {path}: --tokenizer names a vocabulary of llama2.c, as tokenizer.bin")
        return path
    return next((p for p in (file.with_name(f"tok{size}.bin"), file.with_name("tokenizer.bin")) if p.is_file()), None)


def _check_question(
    to: Format, target: Path, shard_size: int | None, dtype: str | None, tokenizer: str | Path | None
) -> None:  # fmt: skip
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"--dtype is {dtype!r}: use {', '.join(DTYPES)}")
    if to in VERSIONS:
        if shard_size is not None:
            raise UsageError("a llama2.c binary is one file: leave out --shard-size")
        if dtype not in (None, "float32"):
            raise UsageError(f"a llama2.c binary holds float32 and no {dtype}: leave out --dtype")
        if target.is_dir():
            raise UsageError(f"{target} is a folder and a llama2.c binary is a file: name one, as {target / 'model.bin'}")
    elif target.suffix in (".bin", ".safetensors") or target.is_file():
        raise UsageError(f"{target} is a file's name and {to} go into a folder: name the folder")


def _check_apart(source: Path, target: Path) -> None:
    here, there = source.resolve(), target.resolve()
    if here == there or there.is_relative_to(here) or here.is_relative_to(there):
        raise UsageError(f"{target} and {source} lie in one another: name another place, outside")


def _check_quantised(config: dict[str, Any], dtype: str | None) -> None:
    if dtype is not None and config.get("quantization_config"):
        raise ModelError("this model's weights are quantised, and a cast would spoil them: convert without --dtype")


def _steps(progress: Progress | None, tensors: int) -> Callable[[str], None]:
    """Each tensor is written and checked: half its share each time."""
    share = 0.5 / max(tensors, 1)

    def step(said: str) -> None:
        if progress is not None:
            progress(share, said)

    return step


__all__ = ["Conversion", "Format", "Llama2cTensors", "convert", "copy_rest"]
