"""Longformer (Beltagy et al. 2020): RoBERTa that sees a window, and marked tokens that see all and are seen by all.

`global_attention_mask` marks tokens; without it a classifier's first token is marked, the question of a span, the answer of a
choice, and nothing of the others, as in the reference.
"""

from __future__ import annotations

from maskfork.core.mask import Marked, Window
from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.models.families import bert, roberta
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.shared.heads import drop_of
from maskfork.models.weights import Fuse, Rule, rule

MARKS = {"classify": "first", "span": "before", "choice": "after"}


def spec(config: Config) -> ModelSpec:
    whole = roberta.spec(config)
    stack, sides = whole.main, read(config, "attention_window", default=512)
    windows = [sides] * stack.depth if isinstance(sides, int) else list(sides)
    return whole.replace(
        encoder=stack.replace(
            masks=tuple(Window(window // 2, window // 2) | Marked() for window in windows),
            attention=stack.attention.replace(marked=True),
        )
    )


def head(kind: str, config: Config) -> HeadSpec:
    made = roberta.head(kind, config).replace(marks=MARKS.get(kind), marks_at=read(config, "sep_token_id", default=2))
    return made.replace(dropout=(0.0, drop_of(config, "hidden_dropout_prob"))) if kind == "tag" else made


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    parts = ["~encoder.layer.{i}.attention.self." + f"{p}_global.*" for p in ("query", "key", "value")]
    marked = rule(parts, "encoder.layers.{i}.attention.marked.qkv.*", Fuse((spec.hidden_size,) * 3))
    return (*bert.body(spec), marked, *roberta.head_weights(spec))


TINY = {**roberta.TINY, "attention_window": 4}
BASE = {**roberta.BASE, "max_position_embeddings": 4098, "attention_window": 512}
LARGE = {**roberta.LARGE, "max_position_embeddings": 4098, "attention_window": 512}

FAMILY = Family(
    "longformer", spec, head, weights,
    architectures={
        None: "LongformerModel", "pool": "LongformerModel", "masked_lm": "LongformerForMaskedLM",
        "classify": "LongformerForSequenceClassification", "choice": "LongformerForMultipleChoice",
        "tag": "LongformerForTokenClassification", "span": "LongformerForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "pad_token_id": 3, "hidden_act": "gelu_new", "num_attention_heads": 8, "type_vocab_size": 2,
         "attention_window": [4, 8]},
        {**TINY, "pad_token_id": 0, "hidden_act": "relu", "num_hidden_layers": 3, "tie_word_embeddings": False,
         "layer_norm_eps": 1e-5, "attention_window": [4, 12, 6]},
    ),
    odd=({**TINY, "hidden_size": 24, "num_attention_heads": 3, "num_labels": 5, "attention_window": 8},),
    prefix="longformer.",
    leave=("lm_head.", "classifier.", "qa_outputs.", "longformer.pooler.", "pooler."),
    aliases=bert.FAMILY.aliases,
    tokenizer="bpe",
    about="a token sees a window to both sides and the marked tokens, which see all with weights of their own; else RoBERTa",
    hub=("allenai/longformer-base-4096", "allenai/longformer-large-4096", "allenai/longformer-large-4096-finetuned-triviaqa"),
    published=(
        Published("longformer-base-4096", 148_659_456, "pool", BASE),
        Published("longformer-large-4096", 434_600_960, "pool", LARGE),
    ),
)  # fmt: skip
