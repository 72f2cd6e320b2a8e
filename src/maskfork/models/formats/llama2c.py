"""llama2.c's binary: a Llama in one file, for programs that read it from C (github.com/karpathy/llama2.c, export.py).

    version 0   7 int32: width, feed-forward, layers, heads, key/value heads, vocabulary, length. A vocabulary below zero says
                that the output matrix is not the token table. Then fp32 tensors:
                tokens, attention norms, wq, wk, wv, wo, feed-forward norms, w1, w2, w3, norm, cosines, sines, [output]
    version 1   "ak42" as a number, int32 1, the 7 int32, a byte that says whether the output is the token table, zeros up to
                256 bytes. Then: attention norms, feed-forward norms, norm, tokens, wq, wk, wv, wo, w1, w2, w3, [output]

Each of wq ... w3 stands for all layers' in a row. Pairs that turn together lie side by side in wq and wk; in the Hugging Face
layout they are half a head apart, so the rows change places on the way.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskfork.errors import ModelError
from maskfork.models.formats.tensors import Tensors

MAGIC, HEADER = 0x616B3432, struct.Struct("<7i")
EPS, BASE = 1e-5, 10000.0  # what its programs have written into them
LONGEST_HEADER = 256
LAYER = "model.layers.{i}."
TOKENS, NORM, OUTPUT = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
PARTS = {
    "attention norms": "input_layernorm.weight",
    "wq": "self_attn.q_proj.weight",
    "wk": "self_attn.k_proj.weight",
    "wv": "self_attn.v_proj.weight",
    "wo": "self_attn.o_proj.weight",
    "feed-forward norms": "post_attention_layernorm.weight",
    "w1": "mlp.gate_proj.weight",
    "w2": "mlp.down_proj.weight",
    "w3": "mlp.up_proj.weight",
}
ORDERS = {
    0: (TOKENS, *PARTS, NORM, "cosines", "sines", OUTPUT),
    1: ("attention norms", "feed-forward norms", NORM, TOKENS, "wq", "wk", "wv", "wo", "w1", "w2", "w3", OUTPUT),
}


@dataclass(frozen=True)
class Shape:
    """The header's numbers."""

    width: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    length: int
    shared: bool
    version: int = 0

    @property
    def start(self) -> int:
        """Where the tensors begin, in bytes."""
        return HEADER.size if self.version == 0 else LONGEST_HEADER

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """(name in the Hugging Face layout, shape) of each tensor in the file's order; `cosines` and `sines` too."""
        kv, angles = self.width // self.heads * self.kv_heads, (self.length, self.width // self.heads // 2)
        shapes = {
            TOKENS: (self.vocab, self.width), OUTPUT: (self.vocab, self.width), NORM: (self.width,), "cosines": angles,
            "sines": angles, "attention norms": (self.width,), "feed-forward norms": (self.width,),
            "wq": (self.width, self.width), "wk": (kv, self.width), "wv": (kv, self.width), "wo": (self.width, self.width),
            "w1": (self.inner, self.width), "w2": (self.width, self.inner), "w3": (self.inner, self.width),
        }  # fmt: skip
        for part in ORDERS[self.version]:
            if part in PARTS:
                yield from ((LAYER.replace("{i}", str(i)) + PARTS[part], shapes[part]) for i in range(self.layers))
            elif part != OUTPUT or not self.shared:
                yield part, shapes[part]

    def config(self) -> dict[str, Any]:
        """config.json of the same model."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.width // self.heads,
            "vocab_size": self.vocab,
            "max_position_embeddings": self.length,
            "hidden_act": "silu",
            "rms_norm_eps": EPS,
            "rope_theta": BASE,
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": self.shared,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "dtype": "float32",
        }


@dataclass(frozen=True)
class Llama2cTensors:
    """A file's tensors by their Hugging Face names, read when asked for."""

    file: Path
    shape: Shape
    where: Mapping[str, tuple[int, tuple[int, ...]]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in self.where if name not in ("cosines", "sines"))

    @property
    def kind(self) -> str:
        return f"llama2.c, version {self.shape.version}"

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.file,)

    def read(self, name: str) -> Tensor:
        start, shape = self.where[name]
        values = np.memmap(self.file, dtype="<f4", mode="r", offset=start, shape=shape)
        tensor = torch.from_numpy(np.array(values, dtype=np.float32))
        heads = _heads(name, self.shape)
        return tensor if heads is None else halves(tensor, heads)


def is_llama2c(file: Path) -> bool:
    """Whether a file is such a binary rather than a pickle or another format: by its first numbers."""
    with file.open("rb") as opened:
        head = opened.read(LONGEST_HEADER)
    return _parsed(head) is not None


def open_llama2c(file: Path) -> Llama2cTensors:
    """Raises ModelError where the file is none, is of a version that is not known, or has not the size that its header says."""
    with file.open("rb") as opened:
        head = opened.read(LONGEST_HEADER)
    shape = _parsed(head)
    if shape is None:
        raise ModelError(f"{file} is no binary of llama2.c: give a folder with config.json, or such a file")
    if shape.version not in ORDERS:
        raise ModelError(
            f"{file} is of llama2.c's version {shape.version}, whose weights are rounded to 8 bits: give version 0 or 1"
        )
    where, at = {}, shape.start
    for name, size in shape.tensors():
        where[name] = (at, size)
        at += 4 * int(np.prod(size))
    have = file.stat().st_size
    if have != at:
        raise ModelError(f"{file} has {have:,} bytes and its header asks for {at:,}: the download is incomplete")
    return Llama2cTensors(file, shape, where)


def shape_of(config: Mapping[str, Any], source: Tensors, version: int) -> Shape:
    """The header for a folder's model. Raises ModelError, which names what llama2.c's programs cannot say."""
    heads = config.get("num_attention_heads", 0)
    width = config.get("hidden_size", 0)
    rope = config.get("rope_parameters") or {}
    asked = {
        "model_type": (config.get("model_type"), "llama"),
        "hidden_act": (config.get("hidden_act", "silu"), "silu"),
        "rms_norm_eps": (config.get("rms_norm_eps", 1e-6), EPS),
        "rope_theta": (rope.get("rope_theta", config.get("rope_theta", BASE)), BASE),
        "rope_type": (rope.get("rope_type", "default"), "default"),
        "rope_scaling": (config.get("rope_scaling") and config["rope_scaling"].get("rope_type", "scaled") != "default", None),
        "head_dim": (config.get("head_dim") or width // max(heads, 1), width // max(heads, 1)),
        "attention_bias": (bool(config.get("attention_bias")), False),
        "mlp_bias": (bool(config.get("mlp_bias")), False),
    }
    for name, (have, can) in asked.items():
        if have != can and not (have in (False, None) and can in (False, None)):
            raise ModelError(f"llama2.c runs only Llamas whose {name} is {can}, and this model's is {have}: it stays a folder")
    shared = OUTPUT not in source.names or torch.equal(source.read(OUTPUT), source.read(TOKENS))
    shape = Shape(
        width, config["intermediate_size"], config["num_hidden_layers"], heads, config.get("num_key_value_heads") or heads,
        config["vocab_size"], config["max_position_embeddings"], shared, version,
    )  # fmt: skip
    wanted = {name: size for name, size in shape.tensors() if name not in ("cosines", "sines")}
    strange = sorted(set(source.names) - {*wanted, OUTPUT}) + sorted(set(wanted) - set(source.names))
    if strange:
        raise ModelError(f"tensor '{strange[0]}' is not one of a plain Llama's: llama2.c's binary holds those alone")
    return shape


def write_llama2c(file: Path, shape: Shape, read: Callable[[str], Tensor]) -> None:
    """The tensors that `read` gives by their Hugging Face names, as fp32."""
    numbers = (shape.width, shape.inner, shape.layers, shape.heads, shape.kv_heads)
    with file.open("wb") as out:
        if shape.version == 0:
            out.write(HEADER.pack(*numbers, shape.vocab if shape.shared else -shape.vocab, shape.length))
        else:
            head = struct.pack("<Ii", MAGIC, shape.version) + HEADER.pack(*numbers, shape.vocab, shape.length)
            out.write((head + bytes([shape.shared])).ljust(LONGEST_HEADER, b"\0"))
        for name, size in shape.tensors():
            tensor = _angles(shape, name) if name in ("cosines", "sines") else read(name).float()
            if tuple(tensor.shape) != size:
                raise ModelError(f"{name} has shape {list(tensor.shape)} and config.json asks for {list(size)}: two models")
            heads = _heads(name, shape)
            tensor = tensor if heads is None else pairs(tensor, heads)
            out.write(tensor.contiguous().numpy().astype("<f4").tobytes())


def halves(weight: Tensor, heads: int) -> Tensor:
    """Rows [H * D, E] whose pairs lie side by side -> half a head apart."""
    return weight.reshape(heads, -1, 2, weight.shape[-1]).transpose(1, 2).reshape(weight.shape).contiguous()


def pairs(weight: Tensor, heads: int) -> Tensor:
    """The way back."""
    return weight.reshape(heads, 2, -1, weight.shape[-1]).transpose(1, 2).reshape(weight.shape).contiguous()


def _heads(name: str, shape: Shape) -> int | None:
    """How many heads a turned projection has; None for a tensor that is not turned."""
    if name.endswith(PARTS["wq"]):
        return shape.heads
    return shape.kv_heads if name.endswith(PARTS["wk"]) else None


def _angles(shape: Shape, name: str) -> Tensor:
    size = shape.width // shape.heads
    speeds = 1.0 / (BASE ** (torch.arange(0, size, 2).float() / size))
    angles = torch.outer(torch.arange(shape.length).float(), speeds)
    return angles.cos() if name == "cosines" else angles.sin()


def _parsed(head: bytes) -> Shape | None:
    """The header, or None where the numbers are none of a model's."""
    if len(head) < HEADER.size:
        return None
    if struct.unpack_from("<I", head)[0] == MAGIC and len(head) == LONGEST_HEADER:
        version = struct.unpack_from("<i", head, 4)[0]
        width, inner, layers, heads, kv, vocab, length = HEADER.unpack_from(head, 8)
        return Shape(width, inner, layers, heads, kv, vocab, length, bool(head[8 + HEADER.size]), version)
    width, inner, layers, heads, kv, vocab, length = HEADER.unpack_from(head)
    plausible = (
        all(0 < n < 2**24 for n in (width, inner, layers, heads, kv, abs(vocab), length))
        and layers < 10_000
        and width % heads == 0
        and heads % kv == 0
        and width // heads % 2 == 0
    )
    return Shape(width, inner, layers, heads, kv, abs(vocab), length, vocab > 0) if plausible else None
