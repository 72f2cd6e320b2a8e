"""What DeBERTa has in common in its versions 1, 2 and 3: all but the attention's projections and its relative places."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from maskfork.core.positions.learned import Learned
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, PositionSpec, StackSpec, full
from maskfork.models.families.family import Config, layer_norm, read
from maskfork.models.families.shared.heads import drop_of, encoder_head, label_rules, lm_rules
from maskfork.models.weights import Rule, rule

OLD_LM, NEW_LM = "cls.predictions.", "lm_predictions.lm_head."
LAYER, OURS = "~encoder.layer.{i}.", "encoder.layers.{i}."
LEAVE = ("cls.", "lm_predictions.", "mask_predictions.", "classifier.", "pooler.", "qa_outputs.")


def kinds(config: Config) -> tuple[str, ...]:
    """The kinds of relative attention beside content to content."""
    types = config.get("pos_att_type") or ()
    return tuple(t.strip() for t in types.lower().split("|")) if isinstance(types, str) else tuple(types)


def reach(config: Config) -> int:
    """How far apart two places are told apart."""
    far = int(read(config, "max_relative_positions", default=-1))
    return far if far > 0 else int(config["max_position_embeddings"])


def model(config: Config, attention: AttentionSpec, relative: PositionSpec) -> ModelSpec:
    """The body with this attention and, where the config wants them, these relative places."""
    depth, norm = config["num_hidden_layers"], layer_norm(config, "layer_norm_eps", 1e-7)
    relatives = (relative,) if config.get("relative_attention") else ()
    absolutes = (Learned(config["max_position_embeddings"]),) if config.get("position_biased_input", True) else ()
    encoder = StackSpec(
        depth=depth,
        hidden_size=config["hidden_size"],
        masks=full(depth),
        attention=attention.replace(dropout=drop_of(config, "attention_probs_dropout_prob")),
        feed_forward=FeedForwardSpec(config["intermediate_size"], read(config, "hidden_act", default="gelu")),
        norm=norm,
        positions=(*relatives, *absolutes),
        embed=EmbedSpec(types=config.get("type_vocab_size", 0) or 0, norm=norm, size=config.get("embedding_size")),
        dropout=drop_of(config, "hidden_dropout_prob"),
    )
    # Relative places go on without end; only a learned table of absolute ones is a limit. Training saw max_position_embeddings.
    return ModelSpec(
        "deberta", config["vocab_size"], encoder=encoder, max_length=config["max_position_embeddings"],
        pad_id=config.get("pad_token_id", 0), initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    legacy = config.get("legacy", True)
    lm = HeadSpec(
        "masked_lm", tied=not legacy or read(config, "tie_word_embeddings", default=True), bias=True,
        transform=read(config, "hidden_act", default="gelu"), norm=layer_norm(config, "layer_norm_eps", 1e-7),
        spelling="" if legacy else "new",
    )  # fmt: skip
    drops = drop_of(config, "pooler_dropout", default=0.0), drop_of(config, "cls_dropout", "hidden_dropout_prob")
    pooled = HeadSpec("classify", dense=read(config, "pooler_hidden_act", default="gelu"), bias=True, dropout=drops)
    if kind == "choice":
        return pooled.replace(kind="choice", labels=1)
    return encoder_head(kind, config, lm=lm, drop=drop_of(config, "hidden_dropout_prob"), classify=pooled)


def settle(config: Config, tensors: Mapping[str, Tensor]) -> Config:
    """Published folders spell the head in the new way, and their config.json is silent."""
    new, old = (any(name.startswith(lm) for name in tensors) for lm in (NEW_LM, OLD_LM))
    return config if new == old else {**config, "legacy": old}


def rules(spec: ModelSpec) -> tuple[Rule, ...]:
    """All but the queries, keys, values and relative places of a layer."""
    places = [f"encoder.positions.{i}.table.weight" for i, p in enumerate(spec.main.positions) if isinstance(p, Learned)]
    words, new = "~embeddings.word_embeddings.weight", spec.head is not None and spec.head.spelling == "new"
    lm = lm_rules(
        spec, words, dense=NEW_LM + "dense.*", norm=NEW_LM + "LayerNorm.*", bias=[NEW_LM + "bias"]
    ) if new else lm_rules(spec, words)  # fmt: skip
    return (
        # Folders without absolute places carry a table of them that nothing reads.
        rule("~embeddings.position_embeddings.weight", places[0] if places else None),
        rule("~embeddings.token_type_embeddings.weight", "encoder.embed.types.weight"),
        rule("~embeddings.embed_proj.weight", "encoder.embed.project.weight"),
        rule("~embeddings.LayerNorm.*", "encoder.embed.norm.*"),
        rule("~embeddings.position_ids", None),
        rule(LAYER + "attention.output.dense.*", OURS + "attention.out.*"),
        rule(LAYER + "attention.output.LayerNorm.*", OURS + "attention_residual.norm_sum.*"),
        rule(LAYER + "intermediate.dense.*", OURS + "feed_forward.up.*"),
        rule(LAYER + "output.dense.*", OURS + "feed_forward.down.*"),
        rule(LAYER + "output.LayerNorm.*", OURS + "feed_forward_residual.norm_sum.*"),
        *lm, *label_rules(spec, pooler="pooler.dense.*"),
    )  # fmt: skip
