"""The story model as the folders and files that third-party servers load."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

# The message alone: a story model knows no roles.
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"


def stories_folder() -> Path | None:
    """weights/stories260K of the real data, or None where it is not on this machine."""
    roots = [Path(os.environ["MASKFORK_DATA"])] if "MASKFORK_DATA" in os.environ else []
    roots.append(Path(__file__).resolve().parents[3] / "../shared/data")
    found = [root / "weights/stories260K" for root in roots if (root / "weights/stories260K/tok512.model").exists()]
    return found[0].resolve() if found else None


def make_hf(source: Path, folder: Path) -> Path:
    """A Hugging Face folder with tokenizer and chat template."""
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "generation_config.json"):
        shutil.copyfile(source / "hf" / name, folder / name)
    shutil.copyfile(source / "tok512.model", folder / "tokenizer.model")
    settings = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def make_gguf(source: Path, path: Path) -> Path:
    """A GGUF file in fp32, by the `gguf` package."""
    import gguf
    import sentencepiece
    from safetensors.numpy import load_file

    config = json.loads((source / "hf/config.json").read_text())
    heads, groups, layers = (config[k] for k in ("num_attention_heads", "num_key_value_heads", "num_hidden_layers"))
    writer: Any = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    _add_vocabulary(writer, gguf, sentencepiece.SentencePieceProcessor(model_file=str(source / "tok512.model")))
    for name, tensor in load_file(source / "hf/model.safetensors").items():
        if name.endswith("q_proj.weight"):
            tensor = _interleaved(tensor, heads)
        if name.endswith("k_proj.weight"):
            tensor = _interleaved(tensor, groups)
        writer.add_tensor(_gguf_name(name), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: Any, gguf: Any, pieces: Any) -> None:
    size = pieces.vocab_size()
    kind = gguf.TokenType
    types = [
        kind.UNKNOWN
        if pieces.is_unknown(i)
        else kind.CONTROL
        if pieces.is_control(i)
        else kind.BYTE
        if pieces.is_byte(i)
        else kind.NORMAL
        for i in range(size)
    ]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([pieces.id_to_piece(i).encode() for i in range(size)])
    writer.add_token_scores([pieces.get_score(i) for i in range(size)])
    writer.add_token_types(types)
    writer.add_bos_token_id(pieces.bos_id())
    writer.add_eos_token_id(pieces.eos_id())
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE)


def _interleaved(weight: Any, heads: int) -> Any:
    """Rows of a projection from rotate-halves order (Hugging Face) to rotate-pairs order (llama.cpp)."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width).copy()


def _gguf_name(name: str) -> str:
    for ours, theirs in [
        ("model.layers.", "blk."),
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
    ]:
        name = name.replace(ours, theirs)
    return name
