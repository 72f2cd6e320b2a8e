"""Pre-train the small GPT that the demo prompts: python examples/pretrain_demo_decoder.py BOOKS.jsonl.gz OUT

BOOKS: JSON lines with a `text` field (plain or .gz), public domain where the weights are to be shipped. Trains a byte-level
BPE tokenizer, then a Llama-style decoder on windows of the text, and writes a folder in the Hugging Face layout with a card.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers

from maskfork.core.batch import Batch
from maskfork.learn.objectives.clm import clm_loss
from maskfork.learn.train.loop import fit
from maskfork.learn.train.optimise import cosine
from maskfork.models.hub import build
from maskfork.models.tokenizers import Tokenizer

END = "<|endoftext|>"


def books(path: Path) -> list[str]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line)["text"] for line in raw.decode("utf-8").splitlines()]


def train_tokenizer(texts: list[str], size: int) -> Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    return Tokenizer(inner, {"bos_token": END, "eos_token": END, "pad_token": END, "model_max_length": 512}, "bpe")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--rows", type=int, default=8, help="windows a step")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    texts = books(args.books)
    tokenizer = train_tokenizer(texts, args.vocab)
    rng = np.random.default_rng(args.seed)
    held = set(rng.choice(len(texts), max(1, len(texts) // 20), replace=False).tolist())
    end = tokenizer.id(END)
    streams: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for i, text in enumerate(texts):
        ids = [end, *tokenizer.encode(text, special=False)]
        streams[i in held].append(np.array(ids, dtype=np.int32))
    train, test = np.concatenate(streams[False]), np.concatenate(streams[True])
    print(f"{len(texts)} books, {len(train):,} tokens to train on, {len(test):,} held out ({len(held)} whole books)", flush=True)

    config = {
        "model_type": "llama", "vocab_size": args.vocab, "hidden_size": args.width,
        "intermediate_size": args.width * 8 // 3 // 32 * 32,
        "num_hidden_layers": args.layers, "num_attention_heads": args.width // 32, "num_key_value_heads": args.width // 64,
        "max_position_embeddings": args.context, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": True, "bos_token_id": end, "eos_token_id": end, "pad_token_id": end,
    }  # fmt: skip
    model = build(config, "causal_lm", seed=args.seed)
    model.tokenizer = tokenizer
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)

    def windows(stream: np.ndarray, starts: np.ndarray) -> Batch:
        rows = np.stack([stream[s : s + args.context] for s in starts]).astype(np.int64)
        return Batch.padded(torch.from_numpy(rows))

    starts = np.arange(0, len(train) - args.context, args.context)

    def epoch(number: int) -> Iterator[Batch]:
        shuffled = np.random.default_rng([args.seed, number]).permutation(starts)
        for i in range(0, len(shuffled) - args.rows + 1, args.rows):
            yield windows(train, shuffled[i : i + args.rows])

    started = time.perf_counter()
    last = [0.0]

    def progress(share: float, state: str) -> None:
        if time.perf_counter() - last[0] > 20 or share == 1.0:
            last[0] = time.perf_counter()
            print(f"{share:6.1%} {state}, {(last[0] - started) / share:.0f} s in all", flush=True)

    record = fit(
        model, epoch, clm_loss, steps=args.steps, steps_per_epoch=len(starts) // args.rows, learning_rate=2e-3, seed=args.seed,
        weight_decay=0.1, warmup=0.04, schedule=cosine, progress=progress,
    )  # fmt: skip
    with torch.inference_mode():
        sample = np.arange(0, len(test) - args.context, args.context)[:200]
        nats = np.mean([float(clm_loss(model, windows(test, sample[i : i + 8]))) for i in range(0, len(sample), 8)])
    held_bytes = sum(len(texts[i].encode()) for i in held)
    bits = nats / np.log(2) * len(test) / held_bytes
    model.to(torch.bfloat16).save(args.out)
    (args.out / "README.md").write_text(
        f"""---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
# books-gpt-3m: the demo's decoder

A small GPT ({sum(p.numel() for p in model.parameters()):,} parameters, Llama layout) for the demo of maskfork: it shows how
a prompted decoder is compared, not how good one can be. Bring a real one with `--decoder`.

- Data: {len(texts) - len(held)} public-domain English books, {args.steps * args.rows * args.context:,} tokens read.
- Held-out loss: {nats:.3f} nats a token, {bits:.3f} bits a byte, on {len(held)} whole books.
- Made by `examples/pretrain_demo_decoder.py` of this project, seed {args.seed}, in {record.seconds / 60:.0f} minutes.
""",
        "utf-8",
    )
    print(f"held-out loss {nats:.3f} nats a token, {bits:.3f} bits a byte; saved to {args.out}", flush=True)


if __name__ == "__main__":
    main()
