"""Small folders of the reference's random models, each with a small tokenizer of its family's kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

transformers.logging.set_verbosity_error()

WORDS = ["the", "old", "bank", "of", "river", "was", "mud", "##dy", "##s", ".", ",", "cat", "sat", "[MASK]"]
KINDS = ("bert", "gpt2", "mistral", "t5", "bart")


def word_piece() -> tokenizers.Tokenizer:
    """[CLS] a [SEP] b [SEP], with types."""
    vocab = {t: i for i, t in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    inner = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return inner


def byte_level() -> tokenizers.Tokenizer:
    """Bytes as letters, no merges but a few; nothing around a text."""
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("t", "h"), ("th", "e"), ("Ġ", "b"), ("Ġb", "a"), ("n", "k"), ("Ġba", "nk")]
    for a, b in merges:
        vocab[a + b] = len(vocab)
    inner = tokenizers.Tokenizer(models.BPE(vocab, merges))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return inner


def sentence_piece() -> tokenizers.Tokenizer:
    """▁ before words, </s> at the end: T5's kind."""
    names = [
        "<pad>",
        "</s>",
        "<unk>",
        *(f"▁{w}" for w in ("the", "old", "bank", "river", "was", "die", "alte")),
        "dy",
        "▁mud",
        ".",
    ]
    inner = tokenizers.Tokenizer(models.Unigram([(n, -float(i)) for i, n in enumerate(names)], unk_id=2))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return inner


def _small(kind: str) -> tuple[Any, tokenizers.Tokenizer]:
    size: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 37}
    match kind:
        case "bert":
            return transformers.BertModel(
                transformers.BertConfig(vocab_size=18, max_position_embeddings=40, **size)
            ), word_piece()
        case "gpt2":
            config = transformers.GPT2Config(vocab_size=262, n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=0)
            return transformers.GPT2LMHeadModel(config), byte_level()
        case "mistral":
            config = transformers.MistralConfig(vocab_size=262, num_key_value_heads=2, sliding_window=4, **size)
            return transformers.MistralModel(config), byte_level()
        case "t5":
            config = transformers.T5Config(
                vocab_size=13, d_model=32, d_kv=8, d_ff=37, num_layers=3, num_decoder_layers=2, num_heads=4,
                decoder_start_token_id=0,
            )  # fmt: skip
            return transformers.T5ForConditionalGeneration(config), sentence_piece()
    config = transformers.BartConfig(
        vocab_size=13, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=2,
        encoder_ffn_dim=37, decoder_ffn_dim=37, max_position_embeddings=40, pad_token_id=0, bos_token_id=2, eos_token_id=1,
        decoder_start_token_id=1, forced_eos_token_id=1,
    )  # fmt: skip
    return transformers.BartForConditionalGeneration(config), sentence_piece()


def make(kind: str, folder: Path) -> Any:
    """Writes the folder; returns the reference's model, whose weights are large enough that heads differ."""
    torch.manual_seed(0)
    model, inner = _small(kind)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0.0, 0.25)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    inner.save(str(folder / "tokenizer.json"))
    return model.eval()
