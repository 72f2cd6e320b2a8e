"""BigBird (Zaheer et al. 2020): BERT whose blocks of tokens read a window, both ends, and in training blocks drawn by chance.

A text's blocks are counted up to its own end: the reference counts them to the width of the padded batch, so its numbers for a
short text depend on the longest beside it. They agree for texts of one length and for single texts.
"""

from __future__ import annotations

from maskfork.core.mask_blocks import Blocks
from maskfork.core.positions.counted import Counted
from maskfork.core.spec import FeedForwardSpec, HeadSpec, ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families import bert
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.heads import drop_of, encoder_head, label_rules, lm_rules
from maskfork.models.weights import Rule, rule


def spec(config: Config) -> ModelSpec:
    config = {"type_vocab_size": 2, "max_position_embeddings": 4096, "hidden_act": "gelu_new", **config}
    whole, kind = bert.spec(config), read(config, "attention_type", default="block_sparse")
    stack = whole.main
    stack = stack.replace(
        attention=stack.attention.replace(qkv_bias=bool(config.get("use_bias", True))),
        embed=stack.embed.replace(scale=stack.hidden_size**0.5 if config.get("rescale_embeddings") else 1.0),
    )
    whole = whole.replace(bos_id=config.get("bos_token_id", 1), eos_id=config.get("eos_token_id", 2))
    if kind == "original_full":
        return whole.replace(encoder=stack)
    if kind != "block_sparse":
        raise ModelError(f"attention_type '{kind}' is not known: block_sparse and original_full are")
    size, random = read(config, "block_size", default=64), read(config, "num_random_blocks", default=3)
    blocks = (
        Blocks(size, random, seed, stack.attention.num_heads, config["max_position_embeddings"]) for seed in range(stack.depth)
    )
    attention = stack.attention.replace(dropout=0.0)  # its block-sparse attention never had any
    return whole.replace(encoder=stack.replace(masks=tuple(blocks), positions=(*stack.positions, Counted()), attention=attention))


def head(kind: str, config: Config) -> HeadSpec:
    act, norm = read(config, "hidden_act", default="gelu_new"), layer_norm(config, "layer_norm_eps", 1e-12)
    lm = HeadSpec("masked_lm", tied=read(config, "tie_word_embeddings", default=True), bias=True, transform=act, norm=norm)
    hidden = drop_of(config, "hidden_dropout_prob")
    drop = hidden if kind == "choice" else drop_of(config, "classifier_dropout", default=hidden)
    classify = HeadSpec("classify", dense=act, bias=True, dropout=(drop, drop))
    if kind == "span":
        inner = FeedForwardSpec(config["intermediate_size"], act)
        return HeadSpec(
            "span", bias=True, labels=2, dropout=(hidden, hidden), feed_forward=inner, dense_norm=norm,
            question_ends=read(config, "sep_token_id", default=66),
        )  # fmt: skip
    made = encoder_head(kind, config, lm=lm, drop=drop, classify=classify)
    return made.replace(spare_pooler=kind in ("masked_lm", "classify", "tag"))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    own = spec.head is not None and spec.head.kind == "classify"
    spare = rule("~pooler.*", "head.spare.*", optional=True)
    span = (
        rule("qa_classifier.intermediate.dense.*", "head.feed_forward.up.*"),
        rule("qa_classifier.output.dense.*", "head.feed_forward.down.*"),
        rule("qa_classifier.output.LayerNorm.*", "head.norm.*"),
    )
    return (
        *bert.body(spec),
        *lm_rules(spec, "~embeddings.word_embeddings.weight"),
        *label_rules(
            spec, pooler="~pooler.*", dense="classifier.dense.*", out="classifier.out_proj.*" if own else "classifier.*",
            span="qa_classifier.qa_outputs.*",
        ),
        *((spare,) if spec.head is not None and spec.head.spare_pooler else ()),
        *(span if spec.head is not None and spec.head.kind == "span" else ()),
    )  # fmt: skip


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, max_position_embeddings=64,
    type_vocab_size=2, block_size=2, num_random_blocks=1, sep_token_id=3, pad_token_id=0,
)  # fmt: skip
BASE = dict(vocab_size=50358, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
LARGE = {**BASE, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}

FAMILY = Family(
    "big_bird", spec, head, weights,
    architectures={
        None: "BigBirdModel", "pool": "BigBirdModel", "masked_lm": "BigBirdForMaskedLM", "pretrain": "BigBirdForPreTraining",
        "classify": "BigBirdForSequenceClassification", "choice": "BigBirdForMultipleChoice",
        "tag": "BigBirdForTokenClassification", "span": "BigBirdForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "use_bias": False, "rescale_embeddings": True, "num_random_blocks": 2, "hidden_act": "relu",
         "num_attention_heads": 8},
        {**TINY, "block_size": 3, "num_hidden_layers": 3, "tie_word_embeddings": False, "type_vocab_size": 3,
         "layer_norm_eps": 1e-5},
    ),
    odd=({**TINY, "attention_type": "original_full", "hidden_size": 24, "num_attention_heads": 3, "num_labels": 5},),
    oracle={"lengths": (23, 23, 23, 23)},
    prefix="bert.",
    leave=("cls.", "classifier.", "qa_classifier.", "bert.pooler.", "pooler."),
    aliases=bert.FAMILY.aliases,
    tokenizer="unigram",
    about="a block of tokens sees the blocks beside it and both ends of a text; post-norm, learned positions",
    hub=("google/bigbird-roberta-base", "google/bigbird-roberta-large", "google/bigbird-base-trivia-itc"),
    published=(
        Published("bigbird-roberta-base", 127_468_800, "pool", BASE),
        Published("bigbird-roberta-large", 359_123_968, "pool", LARGE),
    ),
)  # fmt: skip
