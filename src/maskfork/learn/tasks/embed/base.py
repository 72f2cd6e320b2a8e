"""The encoder that training begins with: a sentence encoder's folder as it is, or a plain model with a way to pool."""

from __future__ import annotations

from pathlib import Path

from maskfork.errors import UsageError
from maskfork.models.device import best_device
from maskfork.models.encode import OnLong
from maskfork.models.formats.belongs import MODULES
from maskfork.models.hub import find_folder
from maskfork.models.sentence import Normalize, Pooling, SentenceEncoder, load_sentence_encoder

CLS = (
    "the first token's vector of {folder} is taken as the text's, and nothing has trained it for that: in pre-training [CLS] "
    "answered other questions (or none), its cosines are high between any two texts, and they follow meaning worse than the "
    "mean's (Reimers & Gurevych 2019, table 1): take pooling=mean, or train it on enough rows first"
)


def base_encoder(
    base: str | Path,
    *,
    pooling: str | None = None,
    normalise: bool | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    max_length: int | None = None,
    on_long: OnLong = "truncate",
) -> SentenceEncoder:
    """`base` as an encoder; what is given replaces what its folder says. A raw [CLS] is warned of in `notes`.

    Raises ModelError, TokenizerError, and UsageError for another pooling of a folder whose stages were trained with their own.
    """
    folder = find_folder(base)
    encoder = load_sentence_encoder(folder)
    plain = not (folder / MODULES).is_file()
    stages = list(encoder.stages)
    first = stages[0]
    if pooling is not None and not (isinstance(first, Pooling) and first.modes == (pooling,)):
        if any(stage.state_dict() for stage in stages):
            raise UsageError(f"{folder} has trained layers after its pooling, which go with it: leave pooling out")
        stages = [Pooling(encoder.model.spec.hidden_size, pooling), *stages[1:]]
        encoder.notes = list(encoder.model.notes)
    if plain and pooling == "cls":
        encoder.notes.append(CLS.format(folder=folder))
    if normalise is not None:
        stages = [stage for stage in stages if not isinstance(stage, Normalize)] + ([Normalize()] if normalise else [])
    prompts = {name: text for name, text in (("query", query_prompt), ("document", document_prompt)) if text is not None}
    made = SentenceEncoder(
        encoder.model, stages, prompts={**encoder.prompts, **prompts}, default_prompt_name=encoder.default_prompt_name,  # type: ignore[arg-type]
        max_seq_length=encoder.max_seq_length if max_length is None else max_length,
        similarity_fn_name=encoder.similarity_fn_name, truncate_dim=encoder.truncate_dim, on_long=on_long,
    )  # fmt: skip
    made.notes = encoder.notes
    return made.to(best_device()).eval()
