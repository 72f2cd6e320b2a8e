"""What a run will cost, before it is paid for: parameters, tokens, operations, memory, and time from a few steps."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from maskfork.core.mask import Full
from maskfork.core.spec import StackSpec
from maskfork.core.transformer import Block
from maskfork.learn.pretrain.run import Ready, prepare
from maskfork.learn.pretrain.settings import Settings
from maskfork.learn.train.optimise import SCHEDULES
from maskfork.learn.train.run import Plan, Taken, dice, run
from maskfork.models.explain.memory import activations
from maskfork.models.heads import LanguageModelHead

FORMULA = (
    "6 x parameters in the blocks x tokens (the forward pass 2, the way back 4), plus 6 x the head's parameters x the tokens "
    "that have a target, plus 12 x layers x attention width x tokens read by each token (Chowdhery et al. 2022, appendix B)"
)
PROBE = 4  # steps, of which the first does not count


@dataclass(frozen=True)
class Estimate:
    """Bytes and operations of the whole run. `seconds` is None where nothing was probed."""

    family: str
    objective: str
    parameters: int
    in_blocks: int
    steps: int
    tokens: int
    tokens_there: int
    epochs: float
    targets_share: float
    flops: float
    formula: str
    memory: dict[str, int]
    seconds: float | None
    tokens_per_second: float | None
    flops_per_second: float | None
    notes: list[str] = field(default_factory=list)


def estimate(settings: Settings, *, probe: bool = True) -> Estimate:
    """Nothing is left behind: text is tokenised in a folder that goes. The probe takes a few steps, which are forgotten."""
    with TemporaryDirectory() as place:
        ready = prepare(settings, Path(place) / "corpus")
        found = _of(ready, probe=probe)
        ready.texts.loader.close()
    return found


def _of(ready: Ready, *, probe: bool) -> Estimate:
    share, speed = _probe(ready) if probe else (_share(ready), None)
    model, settings = ready.built.model, ready.settings
    tokens = ready.steps * settings.tokens_a_step
    parameters = sum(p.numel() for p in ready.state.model.parameters())
    blocks = sum(p.numel() for m in ready.state.model.modules() if isinstance(m, Block) for p in m.parameters())
    stacks = [s for s in (model.spec.encoder, model.spec.decoder) if s is not None]
    flops = 6.0 * blocks * tokens + 6.0 * _head(ready) * tokens * share
    flops += sum(_attention(stack, settings.length) for stack in stacks) * tokens
    there = ready.texts.tokens
    return Estimate(
        model.spec.family, ready.built.objective.name, parameters, blocks, ready.steps, tokens, there,
        tokens / max(there, 1), share, flops, FORMULA, _memory(ready, parameters),
        None if speed is None else tokens / speed, speed, None if speed is None else flops / tokens * speed,
        [*ready.built.notes, *ready.texts.notes],
    )  # fmt: skip


def _attention(stack: StackSpec, length: int) -> float:
    """Operations a token of scores and weighted sums, both ways; half of them where a token reads the past alone."""
    width = stack.attention.num_heads * stack.attention.head_size
    read = length * (1 if stack.masks[0] == Full() else 0.5) + (length if stack.cross else 0)
    return 12.0 * stack.depth * width * read


def _head(ready: Ready) -> int:
    """Parameters that a token with a target is multiplied with outside the blocks."""
    found = 0
    for model in ready.state.model.modules():
        if isinstance(model, LanguageModelHead):
            own = sum(p.numel() for p in model.parameters() if p.dim() > 1)
            table = ready.built.model.body.tokens.weight.numel() if model.weight is None else 0
            found += own + table
    return found


def _memory(ready: Ready, parameters: int) -> dict[str, int]:
    """Bytes: weights, gradients, the optimiser's moments, the average, and the activations of one batch, all float32."""
    settings = ready.settings
    held = [group["params"] for part in ready.state.optimisers.parts for group in part.param_groups]
    moments = 4 * 2 * sum(p.numel() for group in held for p in group)
    if settings.optimiser == "muon":  # one moment for the matrices
        moments -= 4 * sum(p.numel() for group in ready.state.optimisers.parts[0].param_groups for p in group["params"])
    spec = ready.built.model.spec
    batch = activations(spec, settings.rows * settings.length)
    stacks = [s for s in (spec.encoder, spec.decoder) if s is not None]
    kept = batch.kept
    if settings.recompute:  # a block's input each, and one block's insides
        depth = sum(s.depth for s in stacks)
        kept = sum(4 * s.depth * s.hidden_size for s in stacks) * batch.tokens + batch.kept // max(depth, 1)
    found = {
        "weights": 4 * parameters, "gradients": 4 * parameters, "optimiser": moments,
        "average": 4 * parameters if settings.average else 0, "activations": kept,
    }  # fmt: skip
    return {**found, "in_all": sum(found.values())}


def _share(ready: Ready) -> float:
    """Of the tokens of a batch, those that have a target."""
    return next(ready.state.source).count / (ready.settings.rows * ready.settings.length)


def _probe(ready: Ready) -> tuple[float, float]:
    """(share of tokens with a target, tokens a second)."""
    settings, state = ready.settings, ready.state
    took: list[Taken] = []
    with dice(settings.seed, ready.built.model.device):
        state.record.bf16 = settings.precision == "bf16"
        plan = Plan(PROBE, SCHEDULES[settings.schedule], settings.warmup, settings.accumulate, settings.clip)
        run(state, plan, ready.loss, weigh=lambda asked: asked.count, after_step=[took.append])
    share = sum(t.weight for t in took) / (len(took) * settings.tokens_a_step)
    return share, settings.tokens_a_step / statistics.median(t.seconds for t in took[1:])
