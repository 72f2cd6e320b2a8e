"""The guard: is this the tokenizer that a model was trained with? Asked before any run, answered from config.json alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskfork.errors import TokenizerError
from maskfork.models.hub import find_folder, read_config, sketch
from maskfork.models.model import check_vocabulary
from maskfork.models.tokenizers.face import Tokenizer
from maskfork.models.tokenizers.read import has_tokenizer, load_tokenizer

SAMPLES = (
    "The movie was dark, but the ending was bright.",
    "In 1998 she paid 3.50 for 12 eggs; he didn't.",
    "Über naïve Cafés: 東京, Привет, 🙂!",
)
_NAMES = {"pad_token_id": "pad", "bos_token_id": "bos", "eos_token_id": "eos", "sep_token_id": "sep", "mask_token_id": "mask"}


@dataclass(frozen=True)
class Fit:
    """What was compared. `remarks`: what is worth knowing and no reason to stop."""

    model: str
    tokenizer: str
    vocabulary: int
    tokens: int
    compared: int
    remarks: list[str]


def check(model: str | Path, tokenizer: str | Path | Tokenizer, name: str = "") -> Fit:
    """Raises TokenizerError, with the token and the cure, unless the tokenizer fits the model. Reads no weights.

    Has every token a vector, and the vectors tokens? Where the model's folder has a tokenizer: are the tokens and their ids
    the same, and the ids of three sentences? Else: does config.json name the special tokens that the tokenizer names?
    `name` is what to call a tokenizer that is loaded already.
    """
    folder = find_folder(model)
    given = tokenizer if isinstance(tokenizer, Tokenizer) else load_tokenizer(tokenizer)
    where = name or ("the tokenizer given" if isinstance(tokenizer, Tokenizer) else str(tokenizer))
    config = read_config(folder)
    spec = sketch(config, {}).spec
    check_vocabulary(spec, given, where)
    remarks: list[str] = []
    compared = 0
    if has_tokenizer(folder):
        own = load_tokenizer(folder)
        compared = _same_tokens(own, given, where, folder)
        _same_ids(own, given, where, folder)
    else:
        remarks.append(f"{folder} has no tokenizer to compare with: only the sizes and the special tokens were checked")
        remarks += _specials(config, given, where)
    return Fit(str(folder), where, spec.vocab_size, given.size, compared, remarks)


def _same_tokens(own: Tokenizer, given: Tokenizer, where: str, folder: Path) -> int:
    ours, theirs = own.inner.get_vocab(with_added_tokens=True), given.inner.get_vocab(with_added_tokens=True)
    wrong = sorted((i, t) for t, i in ours.items() if theirs.get(t) != i)
    if wrong:
        index, token = wrong[0]
        now = theirs.get(token)
        have = "is not in it" if now is None else f"is {now} in it"
        raise TokenizerError(
            f"{where} is another model's tokenizer: {token!r} is token {index} of {folder} and {have}, and {len(wrong):,} of "
            f"{len(ours):,} tokens differ; use the tokenizer in {folder}"
        )
    return len(ours)


def _same_ids(own: Tokenizer, given: Tokenizer, where: str, folder: Path) -> None:
    for text in SAMPLES:
        ours, theirs = own.encode(text), given.encode(text)
        if ours != theirs:
            at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
            pair = [repr(t.token(ids[at])) if at < len(ids) else "nothing" for t, ids in ((own, ours), (given, theirs))]
            raise TokenizerError(
                f"{where} has the tokens of {folder} but reads text otherwise: in {text!r} token {at} is {pair[1]} where the "
                f"model's own says {pair[0]} (a lower-casing, a prefix or special tokens differ); use the tokenizer in {folder}"
            )


def _specials(config: dict[str, Any], given: Tokenizer, where: str) -> list[str]:
    """Special tokens that config.json and the tokenizer both name must be the same; those that only one names are told."""
    remarks: list[str] = []
    for key, name in _NAMES.items():
        wanted, have = config.get(key), given.special(name)
        if not isinstance(wanted, int) or have is None or wanted == have:
            continue
        if not 0 <= wanted < given.size:
            raise TokenizerError(
                f"config.json says that {key} is {wanted} and {where} has {given.size} tokens: it is another model's tokenizer"
            )
        remarks.append(f"config.json says that {key} is {wanted} ({given.token(wanted)!r}); the tokenizer says {have}")
    return remarks
