"""A tokenizer inside a GGUF file: byte-level BPE as llama.cpp's `gpt2`, SentencePiece's BPE as its `llama`, WordPiece as `bert`.

llama.cpp knows the rules that split a text before BPE by name only: rules without a name there are refused, because another
rule would give other tokens without a word.
"""

from __future__ import annotations

import json
from typing import Any

from maskfork.errors import TokenizerError
from maskfork.models.model import Model
from maskfork.models.tokenizers import Tokenizer

BYTES = range(256)
#: what a splitting rule has in it -> its name in llama.cpp, the most telling first
NAMES = (("\\p{N}{1,3}", "llama-bpe"), ("\\p{N}|", "qwen2"))


def add_tokenizer(out: Any, tool: Any, model: Model) -> None:
    """Raises TokenizerError for one that llama.cpp does not have."""
    words = model.tokenizer
    said = json.loads(words.inner.to_str())
    kind = said["model"].get("type", "BPE")
    if kind != "BPE":
        raise TokenizerError(f"a {kind} tokenizer is not written into gguf here: take --to onnx, or safetensors")
    pieces = bool(said["model"].get("byte_fallback"))
    tokens = _tokens(model)
    out.add_tokenizer_model("llama" if pieces else "gpt2")
    if not pieces:
        out.add_tokenizer_pre(_rule(said.get("pre_tokenizer")))
    out.add_token_list(tokens)
    merges = [" ".join(m) if isinstance(m, list) else str(m) for m in said["model"]["merges"]]
    if pieces:
        out.add_token_scores(_scores(tokens, merges))
    else:
        out.add_token_merges(merges)
    out.add_token_types(_types(tool, words, said, tokens, pieces))
    for name in ("bos", "eos", "unk", "pad"):
        if (index := words.special(name)) is not None:
            getattr(out, f"add_{name}_token_id")(index)
    ids, bos = words.encode("a"), words.special("bos")
    out.add_add_bos_token(bool(ids) and ids[0] == bos)
    if isinstance(template := words.config.get("chat_template"), str):
        out.add_chat_template(template)


def add_wordpiece(out: Any, tool: Any, model: Model) -> None:
    """BERT's: llama.cpp writes "##ing" as "ing" and "sing" as "▁sing". Raises TokenizerError for one that it reads otherwise."""
    words = model.tokenizer
    said = json.loads(words.inner.to_str())
    before, split, inner = said.get("normalizer") or {}, said.get("pre_tokenizer") or {}, said["model"]
    kinds = (inner.get("type"), before.get("type"), split.get("type"))
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer") or inner.get("continuing_subword_prefix") != "##":
        raise TokenizerError("llama.cpp reads an encoder's words by BERT's own WordPiece, and this tokenizer has other steps")
    if not before.get("lowercase") or before.get("strip_accents") is False:
        raise TokenizerError("llama.cpp takes upper case and accents from every word, and this tokenizer keeps them")
    tokens = _tokens(model)
    out.add_tokenizer_model("bert")
    out.add_token_list([_piece(token) for token in tokens])
    out.add_token_types(_types(tool, words, said, tokens, pieces=False))
    for name, theirs in (("cls", "bos"), ("sep", "eos"), ("sep", "sep"), ("unk", "unk"), ("pad", "pad"), ("mask", "mask")):
        if (index := words.special(name)) is not None:
            getattr(out, f"add_{theirs}_token_id")(index)


def _tokens(model: Model) -> list[str]:
    """One for each row of the table, also where the tokenizer has fewer."""
    known = model.tokenizer.size  # counts them anew whenever it is asked
    return [model.tokenizer.token(i) if i < known else f"[PAD{i}]" for i in range(model.spec.vocab_size)]


def _piece(token: str) -> str:
    if token.startswith("[") and token.endswith("]"):
        return token
    return token[2:] if token.startswith("##") else f"▁{token}"


def _rule(before: Any) -> str:
    """llama.cpp's name of the rule that splits a text. Raises TokenizerError."""
    steps = before.get("pretokenizers", [before]) if isinstance(before, dict) else []
    kinds = [step["type"] for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and steps[1].get("use_regex", True):
        return "smollm"
    if kinds == ["Split", "ByteLevel"]:
        regex = str(steps[0].get("pattern", {}).get("Regex", ""))
        for inside, name in NAMES:
            if inside in regex:
                return name
    raise TokenizerError(
        f"the tokenizer splits texts by {' and '.join(kinds) or 'no rule'}, for which llama.cpp has no name: take --to onnx, "
        "or safetensors"
    )


def _scores(tokens: list[str], merges: list[str]) -> list[float]:
    """What is merged first has the highest score; what no merge makes has none to speak of."""
    rank: dict[str, int] = {}
    for number, merge in enumerate(merges):
        rank.setdefault(merge.replace(" ", ""), number)
    return [-float(rank.get(token, len(merges))) for token in tokens]


def _types(tool: Any, words: Tokenizer, said: dict[str, Any], tokens: list[str], pieces: bool) -> list[int]:
    added = {one["id"]: one["special"] for one in said.get("added_tokens", [])}
    unknown = words.special("unk")
    byte = {f"<0x{b:02X}>" for b in BYTES} if pieces else set()
    kind, known = tool.TokenType, words.size

    def of(index: int, token: str) -> int:
        if index >= known:
            return int(kind.UNUSED)
        if pieces and index == unknown:
            return int(kind.UNKNOWN)
        if index in added:
            return int(kind.CONTROL if added[index] else kind.USER_DEFINED)
        return int(kind.BYTE if token in byte else kind.NORMAL)

    return [of(index, token) for index, token in enumerate(tokens)]
