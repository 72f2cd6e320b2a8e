"""llama2.c's tokenizer.bin: Llama's SentencePiece vocabulary with its scores; read as a `tokenizers` BPE, and written back.

    int32 length of the longest piece, then for each piece: fp32 score, int32 length, its bytes

Piece 0 is <unk>, 1 and 2 begin and end a text, 3 to 258 are the bytes, then come words with a space where SentencePiece has ▁.
SentencePiece joins the two neighbours whose joined piece has the highest score; a BPE joins the pair that stands first in its
list. So the list is every way to split a piece into two, sorted by the score of the whole.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, normalizers, processors

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers.face import Tokenizer

SPECIAL = ("<unk>", "<s>", "</s>")
FIRST = 3 + 256  # the first piece that is a word
SPACE = "▁"


def read_tokenizer_bin(file: Path, size: int) -> Tokenizer:
    """`size` pieces. Raises TokenizerError where the file is not such a vocabulary."""
    data, at = file.read_bytes(), 4
    pieces: list[tuple[str, float]] = []
    try:
        while at < len(data):
            score, length = struct.unpack_from("<fi", data, at)
            if length < 0 or at + 8 + length > len(data):
                raise ValueError("a piece ends after the file")
            pieces.append((data[at + 8 : at + 8 + length].decode("utf-8"), score))
            at += 8 + length
    except (struct.error, ValueError) as error:
        raise TokenizerError(f"{file} is no tokenizer of llama2.c ({error}): give another with --tokenizer") from error
    if len(pieces) != size:
        raise TokenizerError(f"{file} has {len(pieces)} pieces and the model {size}: it is another model's tokenizer")
    if size < FIRST or any(pieces[3 + b][0] not in (_byte(b), chr(b)) for b in range(256)):
        raise TokenizerError(f"{file} does not have the 256 bytes in places 3 to 258: it is no vocabulary of a Llama")
    words = [(text.replace(" ", SPACE), score) for text, score in pieces[FIRST:]]
    vocabulary = dict(zip((*SPECIAL, *map(_byte, range(256)), *(text for text, _ in words)), range(size), strict=True))
    if len(vocabulary) != size:
        raise TokenizerError(f"{file} has a piece twice: it is broken, download it again")
    joins = [
        (-score, vocabulary[text[:cut]], vocabulary[text[cut:]], text[:cut], text[cut:])
        for text, score in words
        for cut in range(1, len(text))
        if text[:cut] in vocabulary and text[cut:] in vocabulary
    ]
    merges = [(left, right) for *_, left, right in sorted(joins)]
    inner = tokenizers.Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    inner.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )  # fmt: skip
    inner.add_special_tokens(list(SPECIAL))
    return Tokenizer(inner, {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}, "bpe")


def write_tokenizer_bin(file: Path, tokenizer: Tokenizer, size: int) -> None:
    """Raises TokenizerError where the tokenizer is none of Llama's kind, which is what llama2.c's programs can run."""
    model = json.loads(tokenizer.inner.to_str())["model"]
    vocabulary: dict[str, int] = model.get("vocab") if isinstance(model.get("vocab"), dict) else {}
    pieces = [text for text, _ in sorted(vocabulary.items(), key=lambda item: item[1])]
    bytes_there = pieces[3:FIRST] == [_byte(b) for b in range(256)]
    if model.get("type") != "BPE" or sorted(vocabulary.values()) != list(range(size)) or not bytes_there:
        raise TokenizerError("llama2.c reads only a Llama's SentencePiece vocabulary, and this tokenizer is of another kind")
    rank: dict[str, int] = {}
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        rank.setdefault(left + right, len(rank))
    for text in pieces[FIRST:]:  # single letters are joined of nothing, and stand last
        rank.setdefault(text, len(rank))
    spelled = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(text.replace(SPACE, " ").encode() for text in pieces[3:])]
    with file.open("wb") as out:
        out.write(struct.pack("<i", max(map(len, spelled))))
        for index, data in enumerate(spelled):
            score = -float(rank[pieces[index]]) if index >= FIRST else 0.0
            out.write(struct.pack("<fi", score, len(data)) + data)


def _byte(value: int) -> str:
    return f"<0x{value:02X}>"
