"""What a file is, from its content: the name only helps where the content leaves it open."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers.llama2c import looks_like_llama2c
from maskfork.models.tokenizers.ranks import looks_like_ranks

Kind = Literal["tokenizer.json", "bpe", "wordpiece", "sentencepiece", "ranks", "llama2c"]

FILES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "encoder.json", "spiece.model", "tokenizer.model", "spm.model",
    "sentencepiece.bpe.model", "sentencepiece.model", "tokenizer.bin",
)  # fmt: skip
READS = (
    "tokenizer.json, vocab.txt (WordPiece), vocab.json with merges.txt, encoder.json with vocab.bpe, a SentencePiece .model, "
    "tiktoken's ranks or llama2.c's tokenizer.bin"
)
MERGES = {"vocab.json": "merges.txt", "encoder.json": "vocab.bpe"}
# Families whose ids are not those of the .model beside them (moved, or another file's), and whose tokenizer.json is needed.
_OTHER_IDS = frozenset({"camembert", "mbart", "pegasus", "bigbird_pegasus", "marian", "m2m_100", "xlm-prophetnet", "xglm"})


@dataclass(frozen=True)
class Source:
    """A file of a kind; `merges` beside a BPE's vocabulary; `data` its bytes, `table` its JSON."""

    file: Path
    kind: Kind
    data: bytes = b""
    table: Any = None
    merges: Path | None = None


def find(folder: Path) -> Path | None:
    """The file of a folder that a tokenizer can be read from; None where there is none."""
    moved = _model_type(folder) in _OTHER_IDS
    for name in FILES:
        file = folder / name
        if not file.is_file() or (moved and file.suffix == ".model") or (name == "tokenizer.bin" and _model_type(folder)):
            continue
        if name in MERGES and not (folder / MERGES[name]).is_file() and any((folder / n).is_file() for n in FILES[4:]):
            continue  # Marian's vocab.json goes with a .model
        return file
    ranks = sorted(folder.glob("*.tiktoken"))
    models = sorted(folder.glob("*.model")) if not moved else []
    alone = ranks or (models if len(models) == 1 else [])
    return alone[0] if alone else None


def recognise(file: Path) -> Source:
    """Raises TokenizerError where the content is no tokenizer's."""
    data = file.read_bytes()
    head = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        raise TokenizerError(f"{file} is empty: give {READS}")
    if data.startswith(b"GGUF"):
        raise TokenizerError(f"{file} is a GGUF file, which holds a vocabulary for llama.cpp: give {READS}")
    if head.startswith(b"{"):
        return _json(file, data)
    if head.startswith(b"#version") or file.name in MERGES.values():
        return _with_vocabulary(file)
    if looks_like_llama2c(data):
        return Source(file, "llama2c", data)
    if looks_like_ranks(data):
        return Source(file, "ranks", data)
    if data[:1] == b"\n" and (file.suffix == ".model" or b"\0" in data[:4096] or not _is_text(data[:4096])):
        return Source(file, "sentencepiece", data)
    if _is_text(data[:4096]) and (b"[UNK]" in data or b"<unk>" in data):
        return Source(file, "wordpiece", data)
    raise TokenizerError(f"{file} is no vocabulary that is known here: give {READS}")


def _json(file: Path, data: bytes) -> Source:
    try:
        table = json.loads(data)
    except ValueError as error:
        raise TokenizerError(
            f"{file} cannot be read as a tokenizer: it is no complete JSON ({error}): download it again"
        ) from error
    if isinstance(table, dict) and isinstance(table.get("model"), dict):
        return Source(file, "tokenizer.json", data)
    if isinstance(table, dict) and table and all(isinstance(i, int) for i in table.values()):
        for name in dict.fromkeys([MERGES.get(file.name, "merges.txt"), *MERGES.values()]):
            if (file.parent / name).is_file():
                return Source(file, "bpe", data, table, file.parent / name)
        raise TokenizerError(f"{file} holds tokens without merges: put {MERGES.get(file.name, 'merges.txt')} beside it")
    raise TokenizerError(f"{file} is JSON but no tokenizer: give {READS}")


def _with_vocabulary(merges: Path) -> Source:
    for name, beside in MERGES.items():
        if beside == merges.name and (merges.parent / name).is_file():
            return _json(merges.parent / name, (merges.parent / name).read_bytes())
    raise TokenizerError(f"{merges} holds merges without their tokens: put vocab.json (or encoder.json) beside it")


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(data) - 4 and b"\0" not in data  # a letter cut in two at the end
    return b"\0" not in data


def _model_type(folder: Path) -> str:
    file = folder / "config.json"
    if not file.is_file():
        return ""
    try:
        return str(json.loads(file.read_text("utf-8")).get("model_type", ""))
    except (ValueError, AttributeError):
        return ""
