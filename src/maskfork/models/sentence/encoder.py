"""A sentence encoder: texts to vectors, as sentence-transformers makes them of the same folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskfork.errors import ModelError, UsageError
from maskfork.models.about import said_of
from maskfork.models.encode import OnLong, Windows
from maskfork.models.families import family_of
from maskfork.models.hub import find_folder
from maskfork.models.model import Model
from maskfork.models.packing import TOKENS, by_tokens, window_batch
from maskfork.models.runtimes.exported import open_model
from maskfork.models.sentence import similarity as compare
from maskfork.models.sentence.folder import Described, describe, fit, longest, write_modules
from maskfork.models.sentence.pipeline import Pipeline, body_head, lower
from maskfork.models.sentence.pooling import Pooling
from maskfork.models.sentence.stages import SENTENCE, Normalize, Stage
from maskfork.models.sentence.stages import TOKENS as TOKEN_VECTORS

#: the prompts that every model has, empty unless its folder says otherwise
PROMPTS = {"query": "", "document": ""}


class SentenceEncoder(Pipeline):
    """`load_sentence_encoder(folder)` gives one; `SentenceEncoder(model)` pools the mean of any model's token vectors.

    A text in windows is the mean of their vectors, of length one where theirs are.
    """

    gives = SENTENCE

    def __init__(
        self,
        model: Model,
        stages: Sequence[Stage] | None = None,
        *,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        max_seq_length: int | None = None,
        similarity_fn_name: str = "cosine",
        truncate_dim: int | None = None,
        on_long: OnLong = "truncate",
    ) -> None:
        after = [Pooling(model.spec.hidden_size)] if stages is None else list(stages)
        super().__init__(
            model, after, prompts={**PROMPTS, **(prompts or {})}, default_prompt_name=default_prompt_name,
            max_seq_length=max_seq_length, on_long=on_long,
        )  # fmt: skip
        self.width = fit(after, model.spec.hidden_size, str(model.folder or "this encoder"))
        if not after or SENTENCE not in {stage.target for stage in after}:
            raise ModelError(f"{model.folder or 'this encoder'} has no Pooling, so it gives no vector of a text: add one")
        self.similarity_fn_name = compare.check(similarity_fn_name)
        self.truncate_dim = truncate_dim

    def encode(
        self,
        texts: str | Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize: bool = False,
        truncate_dim: int | None = None,
    ) -> np.ndarray:
        """Vectors [N, D] float32 of texts (or of pairs, each read as one), [D] of a single text.

        The prompt (given, or by its name among `prompts`, or the default one) stands before every text. `truncate_dim` keeps
        the first dimensions, and `normalize` then makes the length one. What becomes of texts longer than `max_seq_length`
        `on_long` says, and `notes`. Raises UsageError, TokenizerError.
        """
        if isinstance(texts, str):
            vector: np.ndarray = self.encode(
                [texts], prompt_name=prompt_name, prompt=prompt, normalize=normalize, truncate_dim=truncate_dim
            )[0]
            return vector
        size = truncate_dim if truncate_dim is not None else self.truncate_dim
        if size is not None and not 0 < size <= self.width:
            raise UsageError(f"truncate_dim is {size} and the vectors have {self.width} numbers: take at most as many")

        def read(vectors: Tensor) -> Tensor:
            vectors = vectors[:, :size]
            return torch.nn.functional.normalize(vectors, dim=-1) if normalize else vectors

        return self.collect(texts, pairs, self.prompt_of(prompt, prompt_name), size or self.width, read)

    def token_vectors(self, found: Windows, length: int = 0) -> list[np.ndarray]:
        """Of each text that is read its tokens' own vectors [T, E] float32, special ones too, without pooling; a text in
        windows has those of one window after the other. `length` tokens at the start of each are its prompt's.
        """
        out: list[np.ndarray] = [np.empty(0, np.float32)] * len(found)
        was_training, lengths = self.training, found.lengths
        self.eval()
        with torch.inference_mode():
            for part in by_tokens(lengths, TOKENS):
                batch, _ = window_batch(found, part)
                states_TE = self(batch.to(self.model.device), length)[TOKEN_VECTORS][0].float().cpu().numpy()
                start = 0
                for row in part.tolist():
                    out[row] = states_TE[start : start + lengths[row]]
                    start += lengths[row]
        self.train(was_training)
        return out

    def join(self, said_MD: Tensor) -> Tensor:
        mean = said_MD.mean(0)
        return torch.nn.functional.normalize(mean, dim=0) if isinstance(self.stages[-1], Normalize) else mean

    def encode_query(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """`encode` with the prompt named "query" unless another is given: for what is searched for."""
        return self._as("query", texts, options)

    def encode_document(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """`encode` with the prompt named "document" unless another is given: for what is searched in."""
        return self._as("document", texts, options)

    def _as(self, name: str, texts: str | Sequence[str], options: dict[str, Any]) -> np.ndarray:
        if options.get("prompt") is None and options.get("prompt_name") is None:
            options["prompt_name"] = name
        return self.encode(texts, **options)

    def similarity(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """[N, M]: how alike each of `a` [N, D] and each of `b` [M, D] are, by `similarity_fn_name`; distances below zero."""
        return compare.similarity(self.similarity_fn_name, a, b)

    def similarity_pairwise(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """[N]: how alike `a` [N, D] and `b` [N, D] are, place by place."""
        return compare.similarity_pairwise(self.similarity_fn_name, a, b)

    def save(self, folder: str | Path) -> Path:
        """Write a folder that sentence-transformers reads, and whose root `transformers` reads."""
        folder = self.model.save(folder)
        about = {"model_type": "SentenceTransformer", **self.about(), "similarity_fn_name": self.similarity_fn_name}
        if self.truncate_dim is not None:
            about["truncate_dim"] = self.truncate_dim
        stages = [stage for stage in self.stages if isinstance(stage, Stage)]
        write_modules(folder, stages, about, self.settings())
        return folder


def load_sentence_encoder(where: str | Path, *, dtype: torch.dtype = torch.float32) -> SentenceEncoder:
    """A sentence-transformers folder, or a plain model's (its token vectors' mean, said in `notes`), local or from the Hub.

    Raises ModelError for modules that are not known here and for cross-encoders, TokenizerError without a tokenizer.
    """
    folder = find_folder(where)
    described = describe(folder)
    if described.model_type != "SentenceTransformer":
        cure = "load it with load_cross_encoder" if described.model_type == "CrossEncoder" else "take another model"
        raise ModelError(f"{folder} is a {described.model_type}, which gives a text no single vector: {cure}")
    if described.task != "feature-extraction":
        raise ModelError(f"{folder} reads its model for {described.task}, which gives a text no vector here: take another model")
    model = open_model(described.root, body_head(described.root), dtype=dtype)
    alone = family_of(model.config).lone_encoder
    if alone and model.spec.fork == "encoder-decoder":
        raise ModelError(f"{folder} has a decoder, which is no part of a sentence encoder: save its encoder alone, as {alone}")
    if described.do_lower_case:
        lower(model.tokenizer)
    stages = _plain(model) if described.plain else described.stages
    for stage in stages:
        stage.to(dtype)
    about = described.about
    encoder = SentenceEncoder(
        model, stages, prompts=described.prompts, default_prompt_name=about.get("default_prompt_name"),
        max_seq_length=longest(described, model.tokenizer), similarity_fn_name=about.get("similarity_fn_name") or "cosine",
        truncate_dim=about.get("truncate_dim"), on_long=said_of(folder).get("on_long", "truncate"),
    )  # fmt: skip
    if described.plain:
        encoder.notes.append(_said(folder, stages[0], described))
    return encoder.eval()


def _plain(model: Model) -> tuple[Pooling]:
    """The peer's choice where a folder names no modules: a causal language model's last token, else the mean."""
    named = (model.config.get("architectures") or [""])[0]
    causal = named.endswith("ForCausalLM") and model.config.get("is_causal", True)
    return (Pooling(model.spec.hidden_size, "lasttoken" if causal else "mean"),)


def _said(folder: Path, stage: Stage, described: Described) -> str:
    mode = stage.modes[0] if isinstance(stage, Pooling) else stage.kind
    how = "the last token's vector is" if mode == "lasttoken" else "the token vectors' mean is"
    return f"{folder} has no modules.json, so {how} taken as the text's: it was not trained for that unless its card says so"
