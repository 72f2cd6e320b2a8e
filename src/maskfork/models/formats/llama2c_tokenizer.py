"""llama2.c's tokenizer.bin beside a model: checked against it when read (`models/tokenizers/llama2c.py` reads), and written.

    int32 length of the longest piece, then for each piece: fp32 score, int32 length, its bytes

Piece 0 is <unk>, 1 and 2 begin and end a text, 3 to 258 are the bytes, then come words with a space where SentencePiece has ▁.
A score is the rank of the merge that makes the piece, less than zero.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers.face import Tokenizer
from maskfork.models.tokenizers.llama2c import FIRST, read_llama2c
from maskfork.models.tokenizers.read import load_tokenizer

SPACE = "▁"


def read_tokenizer_bin(file: Path, size: int) -> Tokenizer:
    """`size` pieces. Raises TokenizerError where the file is not such a vocabulary."""
    try:
        pieces = [piece.text for piece in read_llama2c(file.read_bytes()).pieces]
    except TokenizerError as error:
        raise TokenizerError(f"{file} is no tokenizer of llama2.c ({error.__cause__}): give another with --tokenizer") from error
    if len(pieces) != size:
        raise TokenizerError(f"{file} has {len(pieces)} pieces and the model {size}: it is another model's tokenizer")
    if pieces[3:FIRST] != [_byte(b) for b in range(256)]:
        raise TokenizerError(f"{file} does not have the 256 bytes in places 3 to 258: it is no vocabulary of a Llama")
    if len(set(pieces)) != size:
        raise TokenizerError(f"{file} has a piece twice: it is broken, download it again")
    return load_tokenizer(file)


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
