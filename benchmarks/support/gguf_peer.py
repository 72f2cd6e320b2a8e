"""llama.cpp as a contender: the benchmark's folders as GGUF files, and greedy decoding of a batch through its C interface."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

GPT2 = {
    "wte.weight": "token_embd.weight", "wpe.weight": "position_embd.weight", "ln_f.weight": "output_norm.weight",
    "ln_f.bias": "output_norm.bias",
}  # fmt: skip
GPT2_LAYER = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
              "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}  # fmt: skip
LLAMA = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
LLAMA_LAYER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
BF16, Q8_0 = 32, 7  # llama.cpp's numbers of these file types
THREADS = 2


def gguf_files(name: str, config: Mapping[str, Any], folder: Path) -> dict[int, Path]:
    """By the bits of the weights: float32, bfloat16, q8_0 (8.5 bits); written once."""
    import llama_cpp

    _quiet()
    files = {bits: folder / f"{name}-{bits}.gguf" for bits in (32, 16, 8)}
    if not files[32].exists():
        _write(name, config, folder, files[32])
    for bits, kind in ((16, BF16), (8, Q8_0)):
        if not files[bits].exists():
            how = llama_cpp.llama_model_quantize_default_params()
            how.ftype = kind
            llama_cpp.llama_model_quantize(str(files[32]).encode(), str(files[bits]).encode(), ctypes.byref(how))
    return files


@cache
def _quiet() -> Any:
    """llama.cpp tells much about every file; its listener has to live as long as it may speak."""
    import llama_cpp

    listener = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(listener, None)
    return listener


def _write(name: str, config: Mapping[str, Any], folder: Path, file: Path) -> None:
    import gguf

    weights = load_file(folder / "model.safetensors")
    gpt = name == "gpt2"
    heads = config["n_head"] if gpt else config["num_attention_heads"]
    width = config["n_embd"] if gpt else config["hidden_size"]
    out = gguf.GGUFWriter(str(file), name)
    out.add_context_length(config["n_positions"] if gpt else config["max_position_embeddings"])
    out.add_embedding_length(width)
    out.add_block_count(config["n_layer"] if gpt else config["num_hidden_layers"])
    out.add_feed_forward_length(4 * width if gpt else config["intermediate_size"])
    out.add_head_count(heads)
    if gpt:
        out.add_layer_norm_eps(1e-5)
    else:
        out.add_head_count_kv(config["num_key_value_heads"])
        out.add_layer_norm_rms_eps(1e-6)
        out.add_rope_dimension_count(width // heads)
    out.add_vocab_size(config["vocab_size"])
    out.add_tokenizer_model("no_vocab")
    for theirs, tensor in weights.items():
        found = (
            _named(theirs.removeprefix("transformer."), GPT2, GPT2_LAYER, "h.")
            if gpt
            else _named(theirs, LLAMA, LLAMA_LAYER, "model.layers.")
        )
        if found is None:
            continue
        turned = gpt and tensor.dim() == 2 and "blk." in found  # GPT-2's folders hold its matrices the other way round
        out.add_tensor(found, (tensor.T if turned else tensor).contiguous().to(torch.float32).numpy())
        if found == "token_embd.weight":
            out.add_tensor("output.weight", tensor.contiguous().to(torch.float32).numpy())
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _named(theirs: str, whole: Mapping[str, str], layer: Mapping[str, str], before: str) -> str | None:
    if theirs in whole:
        return whole[theirs]
    if not theirs.startswith(before):
        return None
    number, _, rest = theirs.removeprefix(before).partition(".")
    part, _, kind = rest.rpartition(".")
    return f"blk.{number}.{layer[part]}.{kind}" if part in layer else None


class LlamaCpp:
    """Greedy decoding of several sequences at once, as llama.cpp's own batched example does it."""

    def __init__(self, file: Path, batch: int, longest: int) -> None:
        import llama_cpp

        self.c = llama_cpp
        _quiet()
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(str(file).encode(), llama_cpp.llama_model_default_params())
        how = llama_cpp.llama_context_default_params()
        how.n_ctx, how.n_batch, how.n_ubatch, how.n_seq_max = batch * (longest + 64), 512, 512, batch
        how.n_threads = how.n_threads_batch = THREADS
        self.context = llama_cpp.llama_init_from_model(self.model, how)
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(512, 0, batch)

    def generate(self, prompts: list[list[int]], new: int) -> list[list[int]]:
        """The likeliest `new` tokens after each prompt."""
        self.c.llama_memory_clear(self.c.llama_get_memory(self.context), True)
        entries = [
            (token, place, row, place + 1 == len(ids)) for row, ids in enumerate(prompts) for place, token in enumerate(ids)
        ]
        said: list[list[int]] = [[] for _ in prompts]
        for step in range(new):
            for row, token in self._read(entries):
                said[row].append(token)
            entries = [(ids[-1], len(prompts[row]) + step, row, True) for row, ids in enumerate(said)]
        return said

    def _read(self, entries: list[tuple[int, int, int, bool]]) -> list[tuple[int, int]]:
        batch = self.batch
        batch.n_tokens = len(entries)
        for i, (token, place, row, wanted) in enumerate(entries):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, place, 1, wanted
            batch.seq_id[i][0] = row
        if self.c.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama.cpp could not decode")
        found = []
        for i, (_, _, row, wanted) in enumerate(entries):
            if wanted:
                scores = np.ctypeslib.as_array(self.c.llama_get_logits_ith(self.context, i), (self.vocab,))
                found.append((row, int(scores.argmax())))
        return found
