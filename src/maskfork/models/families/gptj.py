"""GPT-J (Wang & Komatsuzaki 2021): both sublayers read one norm's output; the first dimensions of each head are rotary."""

from __future__ import annotations

from maskfork.core.positions.rotary import Rotary
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, StackSpec, causal
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.heads import decoder_head, decoder_rules
from maskfork.models.weights import Fuse, Rule, rule


def spec(config: Config) -> ModelSpec:
    width, heads, depth = config["n_embd"], config["n_head"], config["n_layer"]
    longest = read(config, "n_positions", default=2048)
    decoder = StackSpec(
        depth=depth,
        hidden_size=width,
        masks=causal(depth),
        attention=AttentionSpec(
            heads, width // heads, heads, qkv_bias=False, out_bias=False, dropout=float(read(config, "attn_pdrop", default=0.0)),
        ),
        feed_forward=FeedForwardSpec(
            read(config, "n_inner", default=4 * width), read(config, "activation_function", default="gelu_new")
        ),
        norm=layer_norm(config, "layer_norm_epsilon"),
        norm_at=("in",),
        final_norm=True,
        parallel="shared",
        positions=(Rotary(size=config.get("rotary_dim", 64), interleaved=True),),
        embed=EmbedSpec(dropout=float(read(config, "embd_pdrop", default=0.0))),
        dropout=float(read(config, "resid_pdrop", default=0.0)),
    )  # fmt: skip
    return ModelSpec(
        "gptj", config["vocab_size"], decoder=decoder, max_length=longest, pad_id=config.get("pad_token_id"),
        bos_id=config.get("bos_token_id"), eos_id=config.get("eos_token_id"),
        initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    return decoder_head(kind, config, bias=True)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    layer, ours = "~h.{i}.", "decoder.layers.{i}."
    return (
        *decoder_rules(spec, "~wte.weight"),
        rule(layer + "ln_1.*", ours + "attention_residual.norm_in.*"),
        rule([layer + f"attn.{p}_proj.*" for p in "qkv"], ours + "attention.qkv.*", Fuse((spec.hidden_size,) * 3)),
        rule(layer + "attn.out_proj.*", ours + "attention.out.*"),
        rule(layer + "mlp.fc_in.*", ours + "feed_forward.up.*"),
        rule(layer + "mlp.fc_out.*", ours + "feed_forward.down.*"),
        rule("~ln_f.*", "decoder.norm.*"),
        *(rule(layer + f"attn.{buffer}", None) for buffer in ("bias", "masked_bias", "embed_positions")),
    )


TINY = dict(
    vocab_size=99, n_embd=32, n_layer=2, n_head=4, n_positions=64, rotary_dim=4, bos_token_id=98, eos_token_id=98,
)  # fmt: skip

FAMILY = Family(
    "gptj", spec, head, weights,
    architectures={
        None: "GPTJModel", "causal_lm": "GPTJForCausalLM", "classify": "GPTJForSequenceClassification",
        "span": "GPTJForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "n_head": 2, "rotary_dim": 16, "n_inner": 45, "activation_function": "relu", "tie_word_embeddings": True},
        {**TINY, "n_layer": 3, "rotary_dim": 8, "layer_norm_epsilon": 1e-3},
    ),
    odd=({**TINY, "n_embd": 24, "n_head": 1, "rotary_dim": 2, "activation_function": "silu"},),
    prefix="transformer.",
    leave=("lm_head.", "score.", "qa_outputs."),
    tokenizer="bpe",
    about="a token sees only the past; both sublayers read one norm, the first part of each head rotary in pairs",
    hub=("EleutherAI/gpt-j-6b", "nomic-ai/gpt4all-j"),
    published=(Published("gpt-j-6b", 6_050_882_784, "causal_lm", dict(vocab_size=50400, n_embd=4096, n_layer=28, n_head=16)),),
)  # fmt: skip
