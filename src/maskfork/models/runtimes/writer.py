"""A decoder opened as its folder's writing.json says.

generate, chat, prompt, serve ─ open_writer ─┬─ torch: the Transformer of core/ in fp32, bf16, int8 or int4 (NF4)
                                             ├─ native: our own C++ in fp32, bf16 or int8
                                             └─ llama.cpp: model.gguf, by its Python package
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch

from maskfork.models.away import Away
from maskfork.models.device import best_device
from maskfork.models.hub import find_folder, load
from maskfork.models.model import Model
from maskfork.models.native import Bits as NativeBits
from maskfork.models.quantised import NF4, quantise
from maskfork.models.quantised.int8 import quantise_int8
from maskfork.models.runtimes.writing import FILE, PRECISION, WritingSettings, read_writing


def open_writer(where: str | Path, head: str | None = None) -> Model:
    """`load` on the best device, with what the folder's writing.json says: its bits in torch, and `writing` for who writes. Where
    that is not torch, torch's weights go as soon as the other has its own, and come back where torch is asked after all.

    On another device than a CPU, for which it was not measured, the model is as it is and a note says so. Raises what `load`
    does.
    """
    folder = find_folder(where)
    settings = read_writing(folder)
    if settings is None or best_device().type != "cpu":
        model = load(folder, head).to(best_device())
        if settings is not None:
            model.notes.append(f"{FILE} says how to write on a CPU, and this is another device: the model is run as it is")
        return model
    torch.set_num_threads(settings.threads or torch.get_num_threads())
    in_torch = settings.engine == "torch"
    model = load(folder, head, dtype=torch.bfloat16 if in_torch and settings.precision == "bf16" else torch.float32)
    if in_torch and settings.precision == "int8":
        quantise_int8(model.body)
    elif in_torch and settings.precision == "int4":
        quantise(model.body, NF4())
    model.writing = settings
    if not in_torch and model.adapters is None:
        model.away = Away(model, lambda: load(folder, head))
    return model


def write_natively(model: Model, bits: NativeBits) -> None:
    """The native pass reads this model's tokens from now on, in so many bits, whatever its folder says."""
    said = model.writing or WritingSettings(engine="native", precision="fp32", files={})
    model.writing = msgspec.structs.replace(said, engine="native", precision=PRECISION[bits])
    if model.away is None and model.adapters is None and model.folder is not None:
        folder = model.folder
        model.away = Away(model, lambda: load(folder))
