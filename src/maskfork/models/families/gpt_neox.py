"""GPT-NeoX and Pythia (Black et al. 2022): a token sees only the past; both sublayers read the same input, a quarter rotary."""

from __future__ import annotations

from maskfork.core.spec import AttentionSpec, FeedForwardSpec, HeadSpec, ModelSpec, StackSpec, causal
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.heads import decoder_head, decoder_rules
from maskfork.models.families.shared.rope import rotary
from maskfork.models.weights import Heads, Rule, rule


def spec(config: Config) -> ModelSpec:
    width, heads, depth = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    bias = bool(config.get("attention_bias", True))
    base = float(read(config, "rotary_emb_base", default=10_000.0))
    decoder = StackSpec(
        depth=depth,
        hidden_size=width,
        masks=causal(depth),
        attention=AttentionSpec(
            heads, width // heads, heads, qkv_bias=bias, out_bias=bias,
            dropout=float(read(config, "attention_dropout", default=0.0)),
        ),
        feed_forward=FeedForwardSpec(config["intermediate_size"], read(config, "hidden_act", default="gelu")),
        norm=layer_norm(config, "layer_norm_eps"),
        norm_at=("in",),
        final_norm=True,
        parallel="own" if config.get("use_parallel_residual", True) else None,
        positions=(rotary({**config, "partial_rotary_factor": read(config, "rotary_pct", default=0.25)}, base=base),),
        dropout=float(read(config, "hidden_dropout", default=0.0)),
    )  # fmt: skip
    return ModelSpec(
        "gpt_neox", config["vocab_size"], decoder=decoder, max_length=config.get("max_position_embeddings"),
        pad_id=config.get("pad_token_id"), bos_id=config.get("bos_token_id"), eos_id=config.get("eos_token_id"),
        initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    return decoder_head(kind, config)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    layer, ours = "~layers.{i}.", "decoder.layers.{i}."
    return (
        *decoder_rules(spec, "~embed_in.weight", lm="embed_out", tag="classifier.*"),
        rule(layer + "input_layernorm.*", ours + "attention_residual.norm_in.*"),
        rule(layer + "attention.query_key_value.*", ours + "attention.qkv.*", Heads(spec.main.attention.num_heads)),
        rule(layer + "attention.dense.*", ours + "attention.out.*"),
        rule(layer + "post_attention_layernorm.*", ours + "feed_forward_residual.norm_in.*"),
        rule(layer + "mlp.dense_h_to_4h.*", ours + "feed_forward.up.*"),
        rule(layer + "mlp.dense_4h_to_h.*", ours + "feed_forward.down.*"),
        rule("~final_layer_norm.*", "decoder.norm.*"),
        *(rule(layer + f"attention.{buffer}", None) for buffer in ("bias", "masked_bias", "rotary_emb.inv_freq")),
    )


TINY = dict(
    vocab_size=99, hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=64,
    bos_token_id=0, eos_token_id=0,
)  # fmt: skip
SMALL = dict(vocab_size=50304, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)

FAMILY = Family(
    "gpt_neox", spec, head, weights,
    architectures={
        None: "GPTNeoXModel", "causal_lm": "GPTNeoXForCausalLM", "classify": "GPTNeoXForSequenceClassification",
        "tag": "GPTNeoXForTokenClassification", "span": "GPTNeoXForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "num_attention_heads": 4, "use_parallel_residual": False, "attention_bias": False, "hidden_act": "gelu_fast",
         "rope_parameters": {"rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": 1.0}},
        {**TINY, "num_hidden_layers": 3, "tie_word_embeddings": True, "layer_norm_eps": 1e-3, "rope_parameters": {
            "rope_type": "linear", "rope_theta": 700.0, "factor": 3.0, "partial_rotary_factor": 0.5}},
    ),
    odd=(
        {**TINY, "hidden_act": "relu", "max_position_embeddings": 6, "num_labels": 3, "rope_parameters": {
            "rope_type": "dynamic", "rope_theta": 90.0, "factor": 2.0, "partial_rotary_factor": 0.5}},
        {**TINY, "hidden_size": 24, "num_attention_heads": 1},
    ),
    prefix="gpt_neox.",
    leave=("embed_out.", "lm_head.", "score.", "classifier.", "qa_outputs."),
    aliases=(("lm_head.weight", "embed_out.weight"),),
    tokenizer="bpe",
    about="a token sees only the past; pre-norm, both sublayers read the same input, a part of each head rotary",
    hub=("EleutherAI/pythia-160m", "EleutherAI/pythia-1.4b", "EleutherAI/gpt-neox-20b", "databricks/dolly-v2-3b"),
    published=(
        Published("pythia-160m", 162_322_944, "causal_lm", SMALL),
        Published("gpt-neox-20b", 20_554_567_680, "causal_lm", dict(
            vocab_size=50432, hidden_size=6144, intermediate_size=24576, num_hidden_layers=44, num_attention_heads=64)),
    ),
)  # fmt: skip
