"""What a model is and how it runs, as tables in a terminal: the layers that are alike share a row."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maskfork.models.explain import Explanation, KernelFacts, LayerFacts, Memory
from maskfork.view.words import count, significant


def explanation_text(facts: Explanation) -> RenderableType:
    """Sizes, layers, kernels, memory, one under the other."""
    parts: list[RenderableType] = [Text(_first_line(facts), style="bold")]
    if not facts.has_weights:
        parts.append(Text("No weights in this folder: the sizes follow from config.json alone.", style="yellow"))
    for name, line in facts.stacks.items():
        parts += [Text(), Text(f"{name}: {line}"), _layers(facts, name)]
    parts += [Text(), Text(_outside(facts)), Text()]
    kernels = f"Kernels for {facts.batch}, without gradients, on the CPU"
    parts += [Text(kernels, style="bold"), _kernels(facts.kernels), Text()]
    parts += [Text("Memory", style="bold"), _memory(facts)]
    return Group(*parts)


def rule_words(rule: str) -> str:
    """Causal() & Window(before=3, after=0) -> causal & window(before=3, after=0)"""
    return rule.replace("()", "").lower()


def spans(numbers: Sequence[int]) -> str:
    """[0, 1, 2, 5] -> 0–2, 5; every third one and the like in full."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs)


def mega(size: float) -> str:
    """Bytes as MB of a million bytes."""
    if size >= 1e9:
        return f"{significant(size / 1e9)} GB"
    return f"{significant(size / 1e6)} MB" if size >= 1e5 else f"{significant(size / 1e3)} kB"


def _first_line(facts: Explanation) -> str:
    stored = ", ".join(f"{mega(size)} {name}" for name, size in sorted(facts.memory.stored.items(), key=lambda s: -s[1])[:1])
    return f"{facts.family}, {facts.fork}: {count(facts.parameters)} parameters" + (f", {stored} on disk" if stored else "")


def _layers(facts: Explanation, stack: str) -> Table:
    layers = [one for one in facts.layers if one.stack == stack]
    alike: dict[tuple[object, ...], list[LayerFacts]] = {}
    for one in layers:
        key = (one.rule, one.positions, one.feed_forward, one.parameters, one.kernel, one.cross_kernel)
        alike.setdefault(key, []).append(one)
    crossed = any(one.cross_kernel is not None for one in layers)
    table = _table("layer", "rule", "positions", "feed-forward", "parameters", "kernel")
    for rows in alike.values():
        first = rows[0]
        shared = len({one.block for one in rows}) < len(rows)
        each = count(first.parameters) + ("" if len(rows) == 1 else " shared" if shared else " each")
        kernel = _kernel(facts, first.kernel)
        if crossed and first.cross_kernel is not None:
            kernel += f", cross {_kernel(facts, first.cross_kernel)}"
        positions = ", ".join(first.positions) or "none"
        table.add_row(spans([r.layer for r in rows]), rule_words(first.rule), positions, first.feed_forward, each, kernel)
    return table


def _kernel(facts: Explanation, number: int) -> str:
    return f"{facts.kernels[number].taker.kernel} #{number + 1}"


def _outside(facts: Explanation) -> str:
    inside = [f"{name} {count(n)}" for name, n in facts.embeddings.items() if n]
    if facts.head is not None:
        own = count(facts.head_parameters) if facts.head_parameters else "none of its own"
        inside.append(f"head {facts.head} {own}")
    return "Outside the layers: " + ", ".join(inside)


def _kernels(kernels: Sequence[KernelFacts]) -> Table:
    table = _table("", "attention", "kernel", "", "says")
    signs = {"takes": ("✓ takes it", "green"), "refuses": ("✗ refuses", "red"), "could": ("could", "dim")}
    for i, one in enumerate(kernels):
        what = ("cross" if one.cross else rule_words(one.rule)) + (" + position bias" if one.bias else "")
        for j, stance in enumerate(one.stances):
            word, style = signs[stance.answer]
            lead = (f"#{i + 1}", what) if j == 0 else ("", "")
            table.add_row(*lead, stance.kernel, Text(word, style=style), stance.words)
    return table


def _memory(facts: Explanation) -> Table:
    memory: Memory = facts.memory
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("weights", ", ".join(f"{mega(size)} in {name}" for name, size in memory.weights.items()))
    table.add_row("training", f"{mega(memory.training)} for weights, gradients and AdamW's moments in float32 (16 bytes each)")
    if memory.cache_per_token:
        halves = f"{count(memory.cache_per_token)} bytes a token in float32, {count(memory.cache_per_token / 2)} in bfloat16"
        more = f"; as much a token of the source ({memory.cache_formula})" if memory.cache_per_source_token else ""
        table.add_row("cache", halves + (more or f" ({memory.cache_formula})"))
    else:
        table.add_row("cache", "none: an encoder reads all tokens at once")
    acts = memory.activations
    logits = f" and {mega(acts.logits)} of logits" if acts.logits else ""
    table.add_row("one pass", f"about {mega(acts.at_once)}{logits} for {count(acts.tokens)} tokens")
    table.add_row("to train", f"about {mega(acts.kept)}{logits} kept for the backward pass of {count(acts.tokens)} tokens")
    how = (
        f"One pass: {acts.formula}. To train: {acts.kept_formula}. E is the hidden size, H the heads, G those of keys and "
        "values, D and V their sizes, up and down the feed-forward's; a number has 4 bytes. What is kept for pairs of tokens "
        "(position biases, dropout on attention weights) is not in it."
    )
    table.add_row("", Text(how, style="dim"))
    return table


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for title in titles:
        right = title in ("parameters",)
        table.add_column(title, justify="right" if right else "left", overflow="fold", no_wrap=title in ("kernel", "parameters"))
    return table
