"""A pass forward, a pass forward and back, and texts a second: maskfork and its peers in turn.

    python benchmarks/passes.py --write                      everything; what was measured before is kept
    python benchmarks/passes.py --only texts
    python benchmarks/passes.py --only passes --family bert --family t5 --precision fp32 --repeats 7 --write

Passes: a random model of every family (its tiny config scaled up to six layers of 384) and MiniLM, with the same weights on
both sides; 8 rows of 128 tokens, and 32 texts of the workload's mixed lengths, padded in transformers (SDPA) and packed here.
Back is from the sum of the last hidden states, dropout as the configs have it. A family that is measured is remembered in
runs/passes.json, so a run that was cut off goes on, and `--family` measures one anew. Texts: MiniLM's mean-pooled vectors of the
workload's texts from strings on, tokenisation included.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass

import numpy as np
import torch
from support import ground
from support.families import NAMES, Both, both, sequences
from support.turns import in_turn
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.learn.tasks.probe import Embedder
from maskfork.models.tokenizers.read import load_tokenizer

ROWS = 32  # of the mixed batch
RATIOS = ("ours is faster by", "in processor time by")


def precision_of(name: str) -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16) if name == "bf16" else nullcontext()


def workload() -> list[str]:
    return json.loads(ground.data_file("perf/workload.json").read_text("utf-8"))


def mixed_lengths() -> list[int]:
    """Tokens of the workload's first texts, as a server would get them: in no order."""
    encoded = load_tokenizer(ground.minilm()).encode_many(workload()[:ROWS], limit=512)
    return [len(e.ids) for e in encoded]


@dataclass
class Measured:
    """One line of the table. `faster` and `leaner`: theirs over ours, in seconds and in processor seconds."""

    name: str
    fork: str
    shape: str
    back: bool
    precision: str
    ours: float
    theirs: float
    faster: float
    leaner: float
    attention: str
    apart: float | None
    load: str
    commit: str

    def row(self) -> list[str]:
        what = f"{self.name}, {self.shape}, {'forward and back' if self.back else 'forward'}, {self.precision}"
        apart = "–" if self.apart is None else f"{self.apart:.0e}"
        times = [f"{1000 * self.ours:.0f}", f"{1000 * self.theirs:.0f}", f"{self.faster:.2f}", f"{self.leaner:.2f}"]
        return [what, *times, self.attention, apart, self.load]


STORE = ground.RUNS / "passes.json"


def stored() -> list[Measured]:
    """What earlier runs measured."""
    return [Measured(**line) for line in json.loads(STORE.read_text("utf-8"))] if STORE.is_file() else []


def passes(given: argparse.Namespace) -> str:
    shapes = {"8 x 128": [128] * 8, "mixed": mixed_lengths()}
    known = stored()
    done = {(m.name, m.precision) for m in known}
    names = given.family or [n for n in NAMES if any((n, p) not in done for p in given.precision)]
    for name in names:
        lines = measure(name, shapes, given)
        # Read again: another run may have measured another family meanwhile.
        known = [m for m in (known if given.dry else stored()) if m.name != name or m.precision not in given.precision] + lines
        if not given.dry:
            STORE.parent.mkdir(exist_ok=True)
            STORE.write_text(json.dumps([asdict(m) for m in known], indent=1), "utf-8")
    lengths = shapes["mixed"]
    fill = sum(lengths) / (len(lengths) * max(lengths))
    known.sort(key=lambda m: (NAMES.index(m.name), m.precision, m.shape, m.back))
    command = f"python benchmarks/passes.py --only passes --repeats {given.repeats}"
    return "\n\n".join(
        [
            "## Passes of all families",
            f"`{command}`; {given.repeats} rounds in turn, medians, {torch.get_num_threads()} threads; "
            f"{ground.versions('torch', 'transformers')}; commits {', '.join(sorted({m.commit for m in known}))}; "
            f"{ground.machine()}. The mixed batch: "
            f"{len(lengths)} texts of {min(lengths)} to {max(lengths)} tokens, {fill:.0%} of the padded cells are text.",
            summary(known),
            ground.table(["ms", "ours", "theirs", *RATIOS, "theirs uses", "apart", "others' load"], [m.row() for m in known]),
            "Apart: the largest difference of a last hidden state in float32, without dropout.",
        ]
    )


def summary(known: list[Measured]) -> str:
    """How many keep the two bounds, and which do not, by processor time."""
    slower = [f"{m.row()[0]} ({m.leaner:.2f})" for m in known if m.leaner < 1 / 1.05]
    mixed = [m for m in known if m.shape == "mixed" and m.fork == "encoder"]
    short = [f"{m.row()[0]} ({m.leaner:.2f})" for m in mixed if m.leaner < 1.3]
    return (
        f"In processor time, {len(known) - len(slower)} of {len(known)} are no slower than 1.05 times theirs"
        + (f"; not {', '.join(slower)}" if slower else "")
        + f". Of the encoders' {len(mixed)} mixed batches {len(mixed) - len(short)} are at least 1.3 times as quick"
        + (f"; not {', '.join(short)}." if short else ".")
    )


def measure(name: str, shapes: dict[str, list[int]], given: argparse.Namespace) -> list[Measured]:
    """A family's lines."""
    pair, lines = both(name), []
    for shape, lengths in shapes.items():
        lists = sequences(lengths)
        ids, keep = pair.padded(lists)
        batch = Batch.packed(lists) if shape == "mixed" else Batch.padded(torch.tensor(lists))
        apart = furthest(pair, batch, ids, keep)
        for precision in given.precision:
            for back in (False, True):
                pair.train(back)

                def ours(batch=batch, precision=precision, back=back) -> None:
                    step(pair.ours, lambda: pair.call_ours(batch), precision, back)

                def theirs(ids=ids, keep=keep, precision=precision, back=back) -> None:
                    step(pair.theirs, lambda: pair.call_theirs(ids, keep), precision, back)

                turns = in_turn({"ours": ours, "theirs": theirs}, given.repeats)
                lines.append(
                    Measured(
                        name, pair.spec.fork, shape, back, precision, turns.median("ours"), turns.median("theirs"),
                        turns.ratio("theirs", "ours"), turns.work_ratio("theirs", "ours"), pair.attention, apart, turns.load(),
                        ground.commit(),
                    )
                )  # fmt: skip
                print(" | ".join(lines[-1].row()), flush=True)
    return lines


def step(model: nn.Module, call: Callable[[], Tensor], precision: str, back: bool) -> None:
    if not back:
        with torch.inference_mode(), precision_of(precision):
            call()
        return
    model.zero_grad(set_to_none=True)
    with precision_of(precision):
        value = call().float().sum()
    value.backward()


def furthest(pair: Both, batch: Batch, ids: Tensor, keep: Tensor) -> float | None:
    """The largest difference between the two sides; the benchmark stops where they do not compute the same."""
    if not pair.comparable:
        return None
    pair.train(False)
    with torch.inference_mode():
        ours, theirs = pair.call_ours(batch), pair.call_theirs(ids, keep)
    if batch.is_packed:
        theirs = theirs[keep.bool()][None]
    apart = float((ours - theirs).abs().max())
    if not apart < 1e-3:
        ground.stop(f"{pair.name}: the two sides differ by {apart:.3g}, so their times say nothing; run tests/models first.")
    return apart


def texts(given: argparse.Namespace) -> str:
    lines = workload()
    calls, vectors = embedders(lines)
    first = next(iter(vectors.values()))()
    for name, call in vectors.items():
        cosine = float((first * call()).sum(1).min())
        if cosine < 0.999:
            ground.stop(f"{name}: its vectors differ from ours (cosine {cosine:.4f}), so their times say nothing.")
    turns = in_turn(calls, given.repeats)
    base = next(name for name in calls if name.startswith("maskfork"))
    rows = [
        [name, f"{len(lines) / turns.median(name):.0f}", f"{turns.ratio(name, base):.2f}", f"{turns.work_ratio(name, base):.2f}"]
        for name in calls
    ]
    command = f"python benchmarks/passes.py --only texts --repeats {given.repeats}"
    installed = ground.versions("torch", "transformers", "sentence-transformers", "tokenizers")
    return "\n\n".join(
        [
            "## Texts a second: MiniLM's vectors, tokenisation included",
            f"`{command}`; {len(lines)} texts of `perf/workload.json`, {given.repeats} rounds in turn, medians, "
            f"{torch.get_num_threads()} threads; {installed}; commit {ground.commit()}; {ground.machine()}; "
            f"others' load {turns.load()}.",
            ground.table(["engine", "texts/s", "maskfork fp32 is faster by", "in processor time by"], rows),
        ]
    )


Vectors = Callable[[], np.ndarray]


def embedders(lines: list[str]) -> tuple[dict[str, Vectors], dict[str, Vectors]]:
    """(what is timed, what is compared first: the same on few texts)"""
    from transformers import AutoModel, AutoTokenizer

    folder = ground.minilm()
    ours = Embedder(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, attn_implementation="sdpa", add_pooling_layer=False).eval()

    def mine(some: list[str], precision: str) -> np.ndarray:
        with precision_of(precision):
            return ours.embed(some)

    def sorted_by_length(some: list[str], precision: str) -> np.ndarray:
        encoded = tokenizer(some, truncation=True, max_length=512)
        order = np.argsort([-len(ids) for ids in encoded["input_ids"]], kind="stable")
        out = torch.empty(len(some), model.config.hidden_size)
        with torch.inference_mode(), precision_of(precision):
            for start in range(0, len(order), 32):
                part = order[start : start + 32]
                inputs = tokenizer.pad({k: [encoded[k][i] for i in part] for k in encoded}, return_tensors="pt")
                keep = inputs["attention_mask"][..., None]
                mean = (model(**inputs).last_hidden_state.float() * keep).sum(1) / keep.sum(1)
                out[torch.from_numpy(part)] = nn.functional.normalize(mean, dim=-1)
        return out.numpy()

    engines: dict[str, Callable[[list[str]], np.ndarray]] = {
        "maskfork, fp32": lambda some: mine(some, "fp32"),
        "maskfork, bf16": lambda some: mine(some, "bf16"),
        "transformers sorted by length, fp32": lambda some: sorted_by_length(some, "fp32"),
        "transformers sorted by length, bf16": lambda some: sorted_by_length(some, "bf16"),
    }
    if ground.has("sentence-transformers"):
        from sentence_transformers import SentenceTransformer

        sentences = SentenceTransformer(str(folder), device="cpu")
        sentences.max_seq_length = 512  # its own 256 would cut texts that the others read
        engines["sentence-transformers, fp32"] = lambda some: sentences.encode(some, normalize_embeddings=True)

    def over(some: list[str]) -> dict[str, Vectors]:
        return {name: (lambda engine=engine: engine(some)) for name, engine in engines.items()}

    return over(lines), over(lines[:40])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("passes", "texts"), help="one of the two tables")
    parser.add_argument("--family", action="append", choices=NAMES, help="this one, measured anew (may be repeated)")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32"])
    parser.add_argument("--repeats", type=int, default=7, help="rounds, of which the median is taken")
    parser.add_argument("--dry", action="store_true", help="remember nothing")
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    given = parser.parse_args()
    ground.peer("transformers")
    for name, make in (("texts", texts), ("passes", passes)):
        if given.only in (None, name):
            text = make(given)
            print(text)
            if given.write:
                ground.put(f"passes {name}" if name == "texts" else "passes", text)


if __name__ == "__main__":
    main()
