"""tiktoken's files: a line a token, its bytes in base64 and its rank. Byte-level BPE whose merges the ranks imply."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, processors

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers.letters import BYTE_LETTERS
from maskfork.models.tokenizers.sentencepiece.merges import merges_of

_GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENDS}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENDS}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN = _CL100K.replace(r"\p{N}{1,3}", r"\p{N}")


@dataclass(frozen=True)
class Encoding:
    """What a rank file does not say: how words are put apart, and the special tokens with their ids."""

    name: str
    pattern: str
    special: dict[str, int] = field(default_factory=dict)
    begins: str | None = None


def _llama3() -> dict[str, int]:
    """256 of them: some have a use, the others are reserved and numbered one after the other."""
    named = {0: "begin_of_text", 1: "end_of_text", 6: "start_header_id", 7: "end_header_id", 9: "eot_id"}
    free = iter(range(256))
    return {f"<|{named.get(i) or f'reserved_special_token_{next(free)}'}|>": 128000 + i for i in range(256)}


_END = "<|endoftext|>"
_FIM = {"<|fim_prefix|>": 0, "<|fim_middle|>": 1, "<|fim_suffix|>": 2}
ENCODINGS = (
    Encoding("gpt2", _GPT2, {_END: 50256}),
    Encoding("p50k", _GPT2, {_END: 50256}),
    Encoding("cl100k", _CL100K, {_END: 100257, **{t: 100258 + i for t, i in _FIM.items()}, "<|endofprompt|>": 100276}),
    Encoding("o200k", _O200K, {_END: 199999, "<|endofprompt|>": 200018}),
    Encoding("llama3", _CL100K, _llama3(), "<|begin_of_text|>"),
    Encoding("qwen", _QWEN, {_END: 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}),
)
_SIZES = {50256: "gpt2", 50280: "p50k", 100256: "cl100k", 199998: "o200k", 128000: "llama3", 151643: "qwen"}
_NAMES = {"gpt2": "gpt2", "r50k": "gpt2", "p50k": "p50k", "cl100k": "cl100k", "o200k": "o200k", "qwen": "qwen"}


def looks_like_ranks(data: bytes) -> bool:
    """Whether the first lines are base64, a blank and a number."""
    lines = data[:4096].split(b"\n")[:3]
    try:
        return bool(lines) and all(base64.b64decode(a, validate=True) and int(b) >= 0 for a, b in (x.split() for x in lines if x))
    except (ValueError, binascii.Error):
        return False


def read_ranks(data: bytes) -> dict[bytes, int]:
    """Token -> rank. Raises TokenizerError on a line that is none."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise TokenizerError(f"line {number} is no base64 and rank ({error}): download the file again") from error
    missing = [b for b in range(256) if bytes([b]) not in ranks]
    if missing:
        raise TokenizerError(f"the ranks lack the byte {missing[0]}, so not every text could be written: download the file again")
    return ranks


def choose(ranks: dict[bytes, int], name: str) -> tuple[Encoding, str]:
    """The encoding that these ranks belong to, by how many they are, else by the file's name; and what to say of it."""
    known = {e.name: e for e in ENCODINGS}
    size = max(ranks.values()) + 1
    if size in _SIZES:
        chosen = known[_SIZES[size]]
        return chosen, f"read as tiktoken ranks of {chosen.name} ({size:,} tokens), with its word pattern and special tokens"
    for part, encoding in _NAMES.items():
        if part in name.lower():
            chosen = known[encoding]
            return Encoding(chosen.name, chosen.pattern), (
                f"read as {size:,} tiktoken ranks with the word pattern of {chosen.name}, which the file's name says; "
                "no special tokens, since they are not those of any encoding known here"
            )
    return Encoding("cl100k", _CL100K), (
        f"read as {size:,} tiktoken ranks of no encoding known here: the word pattern of cl100k is taken, and no special tokens"
    )


def build(ranks: dict[bytes, int], encoding: Encoding) -> tokenizers.Tokenizer:
    """The pipeline: tiktoken's ids for every text."""
    letters = {"".join(BYTE_LETTERS[b] for b in token): rank for token, rank in ranks.items()}
    vocabulary = {**letters, **encoding.special}
    # tiktoken takes a whole word that is a token at once, before it merges.
    inner = tokenizers.Tokenizer(models.BPE(vocabulary, merges_of(letters), ignore_merges=True))
    inner.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(encoding.pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.ByteLevel(trim_offsets=False)
    inner.add_special_tokens(sorted(encoding.special, key=lambda t: encoding.special[t]))
    if encoding.begins is not None:
        frame = processors.TemplateProcessing(
            single=f"{encoding.begins} $A",
            pair=f"{encoding.begins} $A {encoding.begins}:1 $B:1",
            special_tokens=[(encoding.begins, encoding.special[encoding.begins])],
        )
        inner.post_processor = processors.Sequence([inner.post_processor, frame])
    return inner
