"""`make parity`: how far our numbers are from the reference's, measured over every family's configs and heads.

    python -m tests.models.parity                 all families
    python -m tests.models.parity --family bert   one, or several; the other rows stay

Writes the table of docs/parity.md. Logits, gradients and what comes through a cache are compared in fp32; bf16 beside the
reference's own loss of precision.
"""

from __future__ import annotations

import argparse
import platform
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import transformers
from torch import Tensor

from maskfork.core.cache import Cache
from tests.models.pairs import Pair, given_to_theirs, our_values, pair_of, their_values, total
from tests.models.theirs import FAMILIES, Case, cases, pad, padding, sequences

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parity.md"
WAYS = (("right", "auto"), ("left", "auto"), ("packed", "auto"), ("right", "reference"))
BOUND = 1e-4
HEADER = "| family | configs | heads | logits | gradients | cached | bf16 | bf16 of theirs |"
RULE = "| --- " * 8 + "|"


@dataclass
class Row:
    """The worst of a family: differences in fp32, and the relative error in bf16 of ours and theirs; None where there is none."""

    family: str
    configs: int
    heads: int
    logits: float = 0.0
    gradients: float = 0.0
    cached: float | None = None
    bf16: float = 0.0
    bf16_of_theirs: float = 0.0

    def __str__(self) -> str:
        def cell(x: object) -> str:
            return "–" if x is None else f"{x:.1e}" if isinstance(x, float) else str(x)

        return "| " + " | ".join(cell(getattr(self, f.name)) for f in fields(self)) + " |"

    @staticmethod
    def parse(line: str) -> Row:
        family, configs, heads, *numbers = (c.strip() for c in line.strip().strip("|").split("|"))
        logits, gradients, cached, *low = (None if n == "–" else float(n) for n in numbers)
        if logits is None or gradients is None or len(low) != 2 or low[0] is None or low[1] is None:
            raise ValueError(f"not a row of the table: {line}")
        return Row(family, int(configs), int(heads), logits, gradients, cached, low[0], low[1])


def rows_of(text: str) -> dict[str, Row]:
    """The rows of the page's table by family."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| family", "| ---"))]
    return {row.family: row for row in map(Row.parse, lines)}


def far(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, of large numbers as a share of the largest."""
    return float((ours.float() - theirs).abs().max() / theirs.abs().max().clamp_min(1)) if theirs.numel() else 0.0


def values_far(pair: Pair) -> Iterator[tuple[float, float]]:
    """(logits, gradients) for every way to run it."""
    for layout, kernel in WAYS:
        pair.ours.zero_grad()
        out, batch = pair.run(layout, kernel)
        values = our_values(pair.case, out, batch)
        total(values).backward()  # type: ignore[no-untyped-call]
        grads = pair.our_grads()
        found = [far(grads[n], g) for n, g in pair.grads.items() if n in grads and g.any()]
        # logits are compared as they are: their bound is absolute
        yield max(float((values[n] - v).abs().max().detach()) for n, v in pair.values.items()), max(found)


@torch.no_grad()
def cached_far(pair: Pair) -> float | None:
    """Theirs at once against ours through a cache: token by token, and in chunks."""
    if pair.case.head != "causal_lm" or not pair.ours.spec.continues_text or pair.case.two_stacks:
        return None if not pair.case.two_stacks or pair.case.head != "causal_lm" else cached_across(pair)
    ids = torch.tensor(sequences(pair.case, (9,)))
    worst = 0.0
    for sizes in ([1] * 9, [4, 1, 3, 1]):
        cache, at = Cache(), 0
        for n in sizes:
            logits = pair.ours(ids[:, at : at + n], cache=cache).logits
            at += n
            worst = max(worst, float((logits - pair.theirs(ids[:, :at]).logits[:, -n:]).abs().max()))
    return worst


def cached_across(pair: Pair) -> float:
    """As `cached_far`, with a padded source."""
    source, keep = pad(sequences(pair.case, (7, 4)), "right", padding(pair.case))
    ids = torch.tensor(sequences(pair.case, (9, 9), seed=5))
    worst = 0.0
    for sizes in ([1] * 9, [4, 1, 3, 1]):
        cache, at = Cache(), 0
        for n in sizes:
            logits = pair.ours(source, keep, decoder_input_ids=ids[:, at : at + n], cache=cache).logits
            at += n
            theirs = pair.theirs(input_ids=source, attention_mask=keep, decoder_input_ids=ids[:, :at])
            worst = max(worst, float((logits - theirs.logits[:, -n:]).abs().max()))
    return worst


@torch.no_grad()
def low_far(pair: Pair) -> tuple[float, float]:
    """Ours and theirs in bf16, against theirs in fp32; as a share of the largest number. Run last: it casts both models."""

    def worst(values: dict[str, Tensor]) -> float:
        return max(float((values[n].float() - v).abs().max() / v.abs().max()) for n, v in pair.values.items())

    pair.ours.bfloat16()
    pair.theirs.bfloat16()
    out, batch = pair.run("right", "auto")
    given, mask = given_to_theirs(pair.case, pair.texts, pair.types, pair.marks, pair.targets)
    return worst(our_values(pair.case, out, batch)), worst(their_values(pair.case, pair.theirs(**given), mask))


def measure(family: str) -> Row:
    chosen: list[Case] = list(cases([family]))
    row = Row(family, len({c.number for c in chosen}), len({c.head for c in chosen if c.head}))
    for case in chosen:
        with TemporaryDirectory() as folder:
            pair = pair_of(case, Path(folder), attention=False)
        for logits, gradients in values_far(pair):
            row.logits, row.gradients = max(row.logits, logits), max(row.gradients, gradients)
        cached = cached_far(pair)
        if cached is not None:
            row.cached = max(row.cached or 0.0, cached)
        ours, theirs = low_far(pair)
        row.bf16, row.bf16_of_theirs = max(row.bf16, ours), max(row.bf16_of_theirs, theirs)
    return row


def page(text: str, rows: dict[str, Row]) -> str:
    """The page with these rows in its table, and the versions that were measured."""
    table = "\n".join([HEADER, RULE, *(str(rows[name]) for name in sorted(rows))])
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, {platform.machine()} CPU"
    text = re.sub(r"\| family \|.*?(?=\n\n|\Z)", lambda _: table, text, flags=re.DOTALL)
    return re.sub(r"Measured with .*", lambda _: f"Measured with {versions}.", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", action="append", choices=FAMILIES, help="measure this one only (may be repeated)")
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    print(HEADER)
    for family in chosen.family or FAMILIES:
        row = measure(family)
        print(row, flush=True)
        if not chosen.dry:  # after each: what was measured stays when the rest is cut off
            text = PAGE.read_text("utf-8")
            known = {name: r for name, r in rows_of(text).items() if name in FAMILIES}
            PAGE.write_text(page(text, known | {family: row}), "utf-8")


if __name__ == "__main__":
    main()
