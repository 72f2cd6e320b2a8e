"""The names that experts have in folders: numbered one by one, a router beside them, and one that all tokens share."""

from __future__ import annotations

from maskfork.core.spec import ExpertsSpec
from maskfork.models.weights import Fuse, Rule, Stack, rule

OURS = "decoder.layers.{i}.feed_forward."


def expert_rules(
    experts: ExpertsSpec, block: str, gate: str = "gate_proj", up: str = "up_proj", down: str = "down_proj"
) -> tuple[Rule, ...]:
    """Gated experts in `block` ("~layers.{i}.mlp."), whose three matrices are named `gate`, `up` and `down`."""
    size = experts.expert.size
    rules = [
        rule(block + "gate.weight", OURS + "router.weight"),
        rule(
            [f"{block}experts.{{j}}.{p}.weight" for p in (gate, up)],
            OURS + "experts.up",
            Stack(experts.count, Fuse((size, size))),
        ),
        rule(f"{block}experts.{{j}}.{down}.weight", OURS + "experts.down", Stack(experts.count)),
    ]
    if experts.correction:
        rules.append(rule(block + "gate.e_score_correction_bias", OURS + "correction"))
    if experts.shared is not None:
        both = Fuse((experts.shared.size, experts.shared.size))
        rules.append(rule([f"{block}shared_experts.{p}.weight" for p in (gate, up)], OURS + "shared.up.weight", both))
        rules.append(rule(f"{block}shared_experts.{down}.weight", OURS + "shared.down.weight"))
    return tuple(rules)
