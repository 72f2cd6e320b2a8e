"""Tokens a second of greedy decoding: maskfork's compiled pass, its plain one, transformers, others, in turn.

    python benchmarks/decoding.py --model gpt2 [--batch 1 8] [--rounds 5] [--new 128] [--prompt 32]

GPT-2 small (124M) and a Llama of 110M with random weights, made once under runs/decoding. llama.cpp takes part where
`llama-cpp-python` and `gguf` are installed (float32, bfloat16, q8_0), CTranslate2 where `ctranslate2` is, OpenVINO where
`openvino` and `nncf` are, and on the Llama onnxruntime-genai where `onnxruntime-genai` is. Sides are compared at the same bits of
the weights.

At one text a token costs what reading every weight costs. So the time of a token without the prompt is held against a plain read
of as many bytes by as many threads, which takes its turn too (`support/stream.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

import maskfork
from benchmarks.support.apart import Apart
from benchmarks.support.ct2_peer import ct2_bits, ct2_folder, ct2_writer
from benchmarks.support.genai_peer import PRECISIONS, genai_folder, genai_writer
from benchmarks.support.ground import RUNS, commit, has, machine, put, table, versions
from benchmarks.support.openvino_peer import RUNS_AS, openvino_folder, openvino_writer
from benchmarks.support.stream import Stream
from benchmarks.support.turns import Turns, in_turn
from maskfork.models.hub import build
from maskfork.models.model import Model

CONFIGS = {
    "gpt2": {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024},
    "llama": {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12,
        "num_attention_heads": 12, "num_key_value_heads": 12, "max_position_embeddings": 2048, "tie_word_embeddings": True,
    },
}  # fmt: skip
COLUMNS = ("ours plain", "transformers", "CTranslate2", "ort-genai", "OpenVINO", "llama.cpp")
TITLES = {"gpt2": "GPT-2 small, 124M", "llama": "Llama, 110M"}
KINDS = {32: torch.float32, 16: torch.bfloat16}


def folder_of(name: str) -> Path:
    """Random weights as `transformers` reads them; the same every time."""
    folder = RUNS / "decoding" / name
    if not (folder / "config.json").exists():
        config = {**CONFIGS[name], "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
        build(config, "causal_lm", seed=0).save(folder)
    return folder


def sides(name: str, batch: int, prompt: int, new: int, plain: bool) -> dict[str, Callable[[], object]]:
    """What is timed, by its name; each call writes `new` tokens after a prompt, `batch` times."""
    folder = folder_of(name)
    ids = torch.randint(5, 20000, (batch, prompt), generator=torch.Generator().manual_seed(0))
    ours = _ours(folder)
    found: dict[str, Callable[[], object]] = {}
    for bits in (32, 16, 8):
        found[f"ours {bits}"] = lambda bits=bits: maskfork.generate(ours, ids, max_new_tokens=new, bits=bits)
        found[f"prompt {bits}"] = lambda bits=bits: maskfork.generate(ours, ids, max_new_tokens=1, bits=bits)
    if plain:
        found["ours plain 32"] = lambda: maskfork.generate(ours, ids, max_new_tokens=new)
    if has("transformers"):
        for bits, kind in KINDS.items():
            theirs = _theirs(folder, kind)
            found[f"transformers {bits}"] = lambda model=theirs: model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0
            )
    vocab, written = int(CONFIGS[name]["vocab_size"]), ids.tolist()
    if has("ctranslate2") and has("transformers"):
        for bits in ct2_bits():
            write = Apart(ct2_writer, ct2_folder(folder, vocab), bits)
            found[f"CTranslate2 {bits}"] = lambda write=write: write(written, new)
    if has("onnxruntime-genai") and has("transformers") and name == "llama":
        for bits in PRECISIONS:
            write = Apart(genai_writer, genai_folder(folder, vocab, bits))
            found[f"ort-genai {bits}"] = lambda write=write: write(written, new)
    if has("openvino") and has("nncf"):
        for bits in RUNS_AS:
            write = Apart(openvino_writer, openvino_folder(folder), bits)
            found[f"OpenVINO {bits}"] = lambda write=write: write(written, new)
    if has("llama-cpp-python") and has("gguf"):
        from benchmarks.support.gguf_peer import LlamaCpp, gguf_files

        for bits, file in gguf_files(name, CONFIGS[name], folder).items():
            peer = LlamaCpp(file, batch, prompt + new)
            found[f"llama.cpp {bits}"] = lambda peer=peer: peer.generate(written, new)
    return found


@cache
def _ours(folder: Path) -> Model:
    return maskfork.load(folder)


@cache
def _theirs(folder: Path, kind: torch.dtype) -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=kind).eval()


def rows(turns: Turns, batch: int, new: int, read: float, weights: int) -> list[list[str]]:
    """A line of the table for each width of the weights, of which there are so many; memory is read at so many bytes a second."""
    out = []
    for bits, called in ((32, "float32"), (16, "bfloat16"), (8, "int8")):
        speed = {name: batch * new / turns.median(name) for name in turns.seconds if name.endswith(f" {bits}")}
        own, first = speed.pop(f"ours {bits}"), turns.median(f"prompt {bits}")
        del speed[f"prompt {bits}"]
        token = (turns.median(f"ours {bits}") - first) / (new - 1)
        share = weights * bits / 8 / token / read
        best = max((name for name in speed if not name.startswith("ours")), key=lambda name: speed[name], default=None)
        cells = [f"{speed[one]:.0f}" if (one := f"{column} {bits}") in speed else "" for column in COLUMNS]
        ratio = "" if best is None else f"{turns.ratio(best, f'ours {bits}'):.2f}"
        out.append([called, f"{own:.0f}", *cells, ratio, f"{1000 * first:.0f}", f"{1000 * token:.2f}", f"{100 * share:.0f} %"])
    return out


def weights_of(model: Model) -> int:
    """Numbers that are read once a token: all matrices but the table of places (the words' table is the last matrix)."""
    return sum(p.numel() for name, p in model.named_parameters() if p.dim() == 2 and "positions" not in name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=tuple(CONFIGS), required=True)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--no-plain", action="store_true", help="leave our pass without the compiler out, to save time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--prompt", type=int, default=32)
    args = parser.parse_args()
    for batch in args.batch:
        measure(args, batch)


def measure(args: argparse.Namespace, batch: int) -> None:
    """One table."""
    stream = Stream(torch.get_num_threads())
    turns = in_turn({**sides(args.model, batch, args.prompt, args.new, not args.no_plain), "read": stream}, args.rounds)
    read = stream.size / turns.median("read")
    head = ("weights", "ours, compiled", *COLUMNS, "ours / best peer", "prompt ms", "ms a token", "of the memory's speed")
    asked = f"--model {args.model} --batch {batch} --new {args.new} --rounds {args.rounds}{' --no-plain' * args.no_plain}"
    lines = rows(turns, batch, args.new, read, weights_of(_ours(folder_of(args.model))))
    text = (
        f"### Decoding: {TITLES[args.model]}, batch {batch}\n\nTokens a second, greedy, random weights, prompt {args.prompt} + "
        f"{args.new} new, reading the prompt included; medians of {args.rounds} rounds in turn, ours / best peer the median "
        f"ratio of a round. On the right, of our compiled pass: the prompt, a token after it ({batch} at once), and how quickly "
        f"the weights are read for that, of {read / 1e9:.0f} GB/s that a plain read reaches. Others' load "
        f"{turns.load()}, peers in processes of their own (CTranslate2, ort-genai, OpenVINO) among them.\n\n"
        f"{table(head, lines)}\n\n"
        f"`python benchmarks/decoding.py {asked}`, commit {commit()}, {machine()}, "
        f"{versions('torch', 'transformers', 'ctranslate2', 'onnxruntime_genai', 'openvino', 'llama_cpp_python')}."
    )
    print(text, flush=True)
    put(f"decoding {args.model} {batch}", text)


if __name__ == "__main__":
    main()
