"""A SentencePiece model as a `tokenizers` pipeline: the same ids for the same text, literal special tokens aside.

Those stay what they are to `transformers`: "</s>" in a text is the token, where SentencePiece would spell it.
"""

from __future__ import annotations

import re
from dataclasses import replace

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers.sentencepiece.charsmap import UNIT, charsmap_normalizers
from maskfork.models.tokenizers.sentencepiece.merges import merges_of
from maskfork.models.tokenizers.sentencepiece.proto import BPE, WORD, Piece, PieceType, SpmModel

SPACE = "▁"


def build(model: SpmModel) -> tuple[tokenizers.Tokenizer, list[str]]:
    """The pipeline, without special tokens around a text, and what its user should know. Raises TokenizerError."""
    if model.model_type == WORD:
        raise TokenizerError("this SentencePiece model is one of whole words, which is not read here: train a BPE or a Unigram")
    notes: list[str] = []
    inner = tokenizers.Tokenizer(_bpe(model, notes) if model.model_type == BPE else _unigram(model))
    steps, exact = _normalizers(model)
    if not exact:
        notes.append("its normalisation rules are of their own kind: rare accents may come out otherwise than in SentencePiece")
    inner.normalizer = normalizers.Sequence(steps)
    apart = _pre_tokenizer(model)
    if apart is not None:
        inner.pre_tokenizer = apart
    inner.decoder = _decoder(model)
    inner.add_special_tokens([
        AddedToken(p.text, special=True, normalized=False)
        for p in model.pieces
        if p.type in (PieceType.CONTROL, PieceType.UNKNOWN)
    ])  # fmt: skip
    changed = [p.text for p in _own(model) if _changes(inner, p.text)]
    if changed:
        inner.add_tokens([AddedToken(text, normalized=False) for text in changed])
        notes.append(f"{len(changed)} of its own symbols ({changed[0]} ...) are looked for before the text is normalised")
    return inner, notes


def fairseq(model: SpmModel) -> SpmModel:
    """The ids that fairseq gave XLM-RoBERTa: <s> <pad> </s> <unk>, the pieces from the fourth on, <mask>."""
    first = [("<s>", PieceType.CONTROL), ("<pad>", PieceType.CONTROL), ("</s>", PieceType.CONTROL), ("<unk>", PieceType.UNKNOWN)]
    pieces = (*(Piece(t, 0.0, k) for t, k in first), *model.pieces[3:], Piece("<mask>", 0.0, PieceType.CONTROL))
    return replace(model, pieces=pieces)


def _own(model: SpmModel) -> list[Piece]:
    return [p for p in model.pieces if p.type == PieceType.USER_DEFINED]


def _changes(inner: tokenizers.Tokenizer, text: str) -> bool:
    normalised: str = inner.normalizer.normalize_str(f"a{text}a")
    return normalised.strip(SPACE) != f"a{text}a"


def _unigram(model: SpmModel) -> models.Unigram:
    """Scores as they are. A symbol of the user's gets what SentencePiece gives it: a tenth for each byte but the first."""
    normal = [p.score for p in model.pieces if p.type == PieceType.NORMAL] or [0.0]
    unknown = [i for i, p in enumerate(model.pieces) if p.type == PieceType.UNKNOWN]
    vocabulary: list[tuple[str, float]] = []
    for piece in model.pieces:
        match piece.type:
            case PieceType.USER_DEFINED:
                vocabulary.append((piece.text, 0.1 * (len(piece.text.encode()) - 1)))
            case PieceType.BYTE:  # no text may be read as one
                vocabulary.append((piece.text, 7 * min(normal) - 100))
            case PieceType.UNUSED:  # no text becomes it
                vocabulary.append((UNIT + piece.text, piece.score))
            case _:
                vocabulary.append((piece.text, piece.score))
    return models.Unigram(vocabulary, unk_id=unknown[0] if unknown else None, byte_fallback=model.byte_fallback)


def _bpe(model: SpmModel, notes: list[str]) -> models.BPE:
    unknown = [p.text for p in model.pieces if p.type == PieceType.UNKNOWN]
    unused = sum(p.type == PieceType.UNUSED for p in model.pieces)
    if unused:
        notes.append(f"{unused} of its pieces are marked as unused and come up all the same: a tokenizer.json cannot say so")
    whole = any(p.type == PieceType.USER_DEFINED for p in model.pieces)
    return models.BPE(
        {p.text: i for i, p in enumerate(model.pieces)},
        merges_of({p.text: (-p.score, i) for i, p in enumerate(model.pieces) if p.type in (PieceType.NORMAL, PieceType.UNUSED)}),
        unk_token=unknown[0] if unknown else None,
        fuse_unk=True,
        byte_fallback=model.byte_fallback,
        ignore_merges=whole,  # the pre-tokenizer has put the user's symbols apart
    )


def _normalizers(model: SpmModel) -> tuple[list[normalizers.Normalizer], bool]:
    steps: list[normalizers.Normalizer] = []
    exact = True
    prefix = model.add_dummy_prefix and not model.whitespace_as_suffix
    suffix = model.add_dummy_prefix and model.whitespace_as_suffix
    space = SPACE if model.escape_whitespaces else " "
    if prefix and not model.remove_extra_whitespaces:  # a text of nothing but characters that vanish has it too
        steps.append(normalizers.Prepend(" "))
    if model.charsmap:
        mapped, exact = charsmap_normalizers(model.charsmap)
        if exact and _own(model):  # no rule joins the end of a symbol of the user's to what follows
            steps.append(normalizers.Replace(Regex(rf"(?:{_any_of(model)})\K"), UNIT))
        steps += mapped
    if model.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if model.escape_whitespaces:
        steps.append(normalizers.Replace(" ", SPACE))
    if model.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex(rf"{space}+\z"), ""))
        if prefix:
            steps.append(normalizers.Prepend(space))
    if suffix:
        steps.append(normalizers.Replace(Regex(r"(?<=(?m:.))\z"), space))
    return steps, exact


def _pre_tokenizer(model: SpmModel) -> pre_tokenizers.PreTokenizer | None:
    """Words apart where no piece goes across them: the same ids, sooner. None where a piece does."""
    steps: list[pre_tokenizers.PreTokenizer] = []
    if _own(model) and model.model_type == BPE:  # they are never part of another piece
        steps.append(pre_tokenizers.Split(Regex(_any_of(model)), "isolated"))
    texts = [p.text for p in model.pieces if p.type in (PieceType.NORMAL, PieceType.USER_DEFINED, PieceType.UNUSED)]
    if SPACE in texts and model.escape_whitespaces and not model.whitespace_as_suffix:
        if not any(SPACE in t[1:] for t in texts):
            steps.append(pre_tokenizers.Metaspace(SPACE, prepend_scheme="never", split=True))
        elif not any(SPACE in t.lstrip(SPACE) for t in texts):
            steps.append(pre_tokenizers.Split(Regex(f"{SPACE}*[^{SPACE}]+|{SPACE}+"), "isolated"))
    if not steps:
        return None
    return steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(steps)


def _any_of(model: SpmModel) -> str:
    """A pattern of the user's symbols, the longest first."""
    return "|".join(_literal(text) for text in sorted((p.text for p in _own(model)), key=len, reverse=True))


def _literal(text: str) -> str:
    return re.sub(r"([^\w\s]|_)", lambda m: rf"\x{{{ord(m[0]):x}}}", text)


def _decoder(model: SpmModel) -> decoders.Decoder:
    steps: list[decoders.Decoder] = [decoders.Replace(SPACE, " ")] if model.escape_whitespaces else []
    if model.byte_fallback:
        steps.append(decoders.ByteFallback())
    steps.append(decoders.Fuse())
    if model.add_dummy_prefix:
        left = 0 if model.whitespace_as_suffix else 1
        steps.append(decoders.Strip(" ", left, 1 - left))
    return decoders.Sequence(steps)
