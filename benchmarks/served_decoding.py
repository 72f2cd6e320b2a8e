"""Tokens a second of `maskfork serve` with a decoder, by how many texts are asked for at once and by what reads the tokens.

    python benchmarks/served_decoding.py [--streams 1 8 16] [--rounds 3] [--new 64] [--prompt 32]

GPT-2 small with random weights behind a made-up tokenizer, one server for each way in writing.json, asked in turn over HTTP by
streamed /v1/completions from a process on the same cores. Every stream is one text; a round begins them all together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from contextlib import ExitStack
from itertools import islice, pairwise, product
from pathlib import Path

from benchmarks.decoding import CONFIGS, folder_of
from benchmarks.support.ground import RUNS, commit, has, machine, put, table, versions
from benchmarks.support.servers import Server, ours, running
from benchmarks.support.turns import in_turn
from maskfork.measure.memory import resident_mb
from maskfork.models.runtimes.writing import Bits, Engine, WritingSettings, write_writing

WAYS: dict[str, tuple[Engine, Bits]] = {
    "torch fp32": ("torch", "fp32"),
    "native fp32": ("native", "fp32"),
    "native bf16": ("native", "bf16"),
    "native int8": ("native", "int8"),
    "llama.cpp int8": ("llama.cpp", "int8"),
}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 "  # 37: tokens of up to three of them are enough


def served_folder(name: str, engine: Engine, bits: Bits) -> Path:
    """Links to the weights, a tokenizer of as many tokens, and who reads them."""
    source, folder = folder_of("gpt2"), RUNS / "decoding" / "served" / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    linked = {file: source / file for file in ("config.json", "model.safetensors")}
    if engine == "llama.cpp":
        from benchmarks.support.gguf_peer import gguf_files

        linked["model.gguf"] = gguf_files("gpt2", CONFIGS["gpt2"], source)[8]
    for file, target in linked.items():
        if not (folder / file).exists():
            (folder / file).symlink_to(target)
    tokenizer(int(str(CONFIGS["gpt2"]["vocab_size"]))).save(str(folder / "tokenizer.json"))
    write_writing(folder, WritingSettings(engine=engine, precision=bits, files={}))
    return folder


def tokenizer(size: int) -> object:
    """Byte-level pairs: letters, pairs of letters, then threes, as many as are wanted."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = ["Ġ" if letter == " " else letter for letter in LETTERS]
    pairs = [(a, b) for a, b in product(known, known)]
    threes = islice(((a + b, c) for a, b, c in product(known, repeat=3)), size - len(letters) - len(pairs))
    merges = [*pairs, *threes]
    vocab = {token: i for i, token in enumerate([*letters, *(a + b for a, b in merges)])}
    made = Tokenizer(models.BPE(vocab, merges))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return made


async def stream(port: int, ids: list[int], new: int) -> list[float]:
    """When each piece of the text came, in seconds from asking."""
    asked = {"prompt": ids, "max_tokens": new, "temperature": 0, "stream": True}
    body, begun, came = json.dumps(asked).encode(), time.perf_counter(), list[float]()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    while line := await reader.readline():
        if line.startswith(b'data: {"'):
            came.append(time.perf_counter() - begun)
        if line.startswith(b"data: [DONE]"):
            writer.close()
            return came
    raise RuntimeError(f"the server hung up after {len(came)} pieces")


class Asked:
    """A server that is asked for `streams` texts at once; calling it gives the seconds until the last has ended."""

    def __init__(self, server: Server, streams: int, prompt: int, new: int) -> None:
        self._port, self._new = server.target.port, new
        rng = random.Random(streams)
        self._prompts = [[rng.randrange(5, 20000) for _ in range(prompt)] for _ in range(streams)]
        self.first: list[float] = []
        self.gaps: list[float] = []

    def __call__(self) -> float:
        return asyncio.run(self._round())

    async def _round(self) -> float:
        for prompt in self._prompts:
            prompt[0] += 1  # nothing that was read before helps
        begun = time.perf_counter()
        heard = await asyncio.gather(*(stream(self._port, ids, self._new) for ids in self._prompts))
        taken = time.perf_counter() - begun
        self.first += [came[0] for came in heard]
        self.gaps += [b - a for came in heard for a, b in pairwise(came)]
        return taken


def wait_for(server: Server, most_s: float = 60.0) -> None:
    end = time.monotonic() + most_s
    while True:
        try:
            asyncio.run(stream(server.target.port, [5, 6, 7], 2))
            return
        except OSError:
            if server.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{server.name} does not answer: its log is under {RUNS}") from None
            time.sleep(0.2)


def own_mb(process: int) -> float:
    """What a process holds that is not a page of a file."""
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("RssAnon"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=32)
    args = parser.parse_args()
    ways = {name: way for name, way in WAYS.items() if way[0] != "llama.cpp" or has("llama-cpp-python")}
    with ExitStack() as stack:
        servers = {}
        for name, way in ways.items():
            folder = served_folder(name, *way)
            servers[name] = stack.enter_context(running(name, ours(folder), folder, RUNS / "decoding" / "served" / "log.txt"))
        for server in servers.values():
            wait_for(server)
        found = {}
        for streams in args.streams:
            asked = {name: Asked(server, streams, args.prompt, args.new) for name, server in servers.items()}
            found[streams] = asked, in_turn(asked, args.rounds)
        memory = {name: (own_mb(s.process.pid), resident_mb(s.process.pid) or 0.0) for name, s in servers.items()}
    head = ["reads"]
    for streams in args.streams:
        head += [f"{streams} streams: tokens/s", "beside torch", "first ms", "p50 / p99 between tokens ms"]
    rows = []
    for name in ways:
        row = [name]
        for streams, (asked, turns) in found.items():
            gaps = statistics.quantiles(asked[name].gaps, n=100)
            speed = streams * args.new / turns.median(name)
            ratio, first = turns.ratio("torch fp32", name), 1000 * statistics.median(asked[name].first)
            row += [f"{speed:.0f}", f"{ratio:.1f}", f"{first:.0f}", f"{1000 * gaps[49]:.1f} / {1000 * gaps[98]:.1f}"]
        rows.append([*row, f"{memory[name][0]:.0f} / {memory[name][1]:.0f}"])
    text = (
        f"## Serving a decoder: what reads its tokens\n\nGPT-2 small, random weights; {args.prompt} tokens of prompt and "
        f"{args.new} new ones for every stream, greedy, streamed by /v1/completions, all streams begun together, the client on "
        f"the same cores; medians of {args.rounds} rounds in turn, of a round's ratio too. First: until the first piece of a "
        "text. Memory: MB of the process's own afterwards, up to 8,192 tokens' keys and values among them (300 MB in 16 bits), "
        "and with the pages of files that it has open, which go where others need the room.\n\n"
        f"{table([*head, 'MB'], rows)}\n\n"
        f"`python benchmarks/served_decoding.py --streams {' '.join(map(str, args.streams))} --rounds {args.rounds}`, commit "
        f"{commit()}, {machine()}, {versions('torch', 'llama_cpp_python')}, {os.cpu_count()} processors."
    )
    print(text, flush=True)
    put("served decoding", text)


if __name__ == "__main__":
    main()
