"""A cross-encoder: both texts of a pair in one reading, one score (or one a label)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskfork import __version__
from maskfork.errors import ModelError, UsageError
from maskfork.models.about import said_of
from maskfork.models.encode import OnLong
from maskfork.models.hub import find_folder, read_config
from maskfork.models.model import Model
from maskfork.models.runtimes.exported import open_model
from maskfork.models.sentence.activations import activation_of, path_of
from maskfork.models.sentence.folder import Described, describe, fit, longest, write_modules
from maskfork.models.sentence.pipeline import Pipeline, body_head, lower
from maskfork.models.sentence.stages import SCORES, Stage

#: the old name of the activation in config.json
OLD = "sbert_ce_default_activation_function"


@dataclass(frozen=True)
class Ranked:
    """A document with its place among those that were given, and its score."""

    index: int
    score: float
    text: str


class CrossEncoder(Pipeline):
    """`load_cross_encoder(folder)` gives one. The model has a classification head, or stages that end in `scores`.

    A document in windows is as relevant as its best window (MaxP, Dai & Callan 2019); several labels have the windows' mean.
    """

    gives = SCORES

    def __init__(
        self,
        model: Model,
        stages: Sequence[Stage] = (),
        *,
        activation: nn.Module | None = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        max_seq_length: int | None = None,
        on_long: OnLong = "truncate",
    ) -> None:
        super().__init__(
            model, stages, prompts=prompts, default_prompt_name=default_prompt_name, max_seq_length=max_seq_length,
            on_long=on_long,
        )  # fmt: skip
        head = model.spec.head
        where = str(model.folder or "this model")
        if stages and stages[-1].target == SCORES:
            self.num_labels = fit(stages, model.spec.hidden_size, where)
        elif not stages and head is not None and head.kind == "classify":
            self.num_labels = head.labels
        else:
            raise ModelError(f"{where} has no head that scores a pair: give a sequence classifier")
        self.activation = activation or (nn.Sigmoid() if self.num_labels == 1 else nn.Identity())

    def predict(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        activation: nn.Module | None = None,
        softmax: bool = False,
    ) -> np.ndarray:
        """Scores of pairs, float32: [N] of a model with one label, else [N, C].

        The activation is the model's own (a sigmoid where there is one label and its folder names none), or the one that is
        given; `softmax` follows it over several labels. A prompt stands before the first text. Raises UsageError.
        """
        for pair in pairs:
            if isinstance(pair, str) or len(pair) != 2:
                raise UsageError(f"{pair!r} is not a pair: give (text, text) for each")

        def read(logits: Tensor) -> Tensor:
            scores: Tensor = (activation or self.activation)(logits)
            return scores.softmax(-1) if softmax and self.num_labels > 1 else scores

        firsts, seconds = [first for first, _ in pairs], [second for _, second in pairs]
        found = self.collect(firsts, seconds, self.prompt_of(prompt, prompt_name), self.num_labels, read)
        return found[:, 0] if self.num_labels == 1 else found

    def join(self, said_MD: Tensor) -> Tensor:
        return said_MD.amax(0) if self.num_labels == 1 else said_MD.mean(0)

    def rank(self, query: str, documents: Sequence[str], top_k: int | None = None, **options: Any) -> list[Ranked]:
        """The documents by their score with the query, best first. `options` are `predict`'s. Raises UsageError."""
        if self.num_labels != 1:
            raise UsageError(f"this model has {self.num_labels} labels, so it does not rank: use predict")
        scores = self.predict([(query, text) for text in documents], **options)
        order = np.argsort(-scores, kind="stable")
        return [Ranked(int(i), float(scores[i]), documents[i]) for i in order[:top_k]]

    def save(self, folder: str | Path) -> Path:
        """Write a folder that sentence-transformers reads as a cross-encoder, and `transformers` as a classifier."""
        path = path_of(self.activation)
        self.model.config.pop(OLD, None)
        self.model.config["sentence_transformers"] = {"activation_fn": path, "version": f"maskfork {__version__}"}
        folder = self.model.save(folder)
        stages = [stage for stage in self.stages if isinstance(stage, Stage)]
        task: dict[str, Any] = {} if stages else {
            "transformer_task": "sequence-classification",
            "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
            "module_output_name": SCORES,
        }  # fmt: skip
        about = {"model_type": "CrossEncoder", **self.about(), "activation_fn": path}
        write_modules(folder, stages, about, {**self.settings(), **task})
        return folder


def load_cross_encoder(where: str | Path, *, dtype: torch.dtype = torch.float32) -> CrossEncoder:
    """A cross-encoder's folder, local or from the Hub: a sequence classifier, with or without a modules.json.

    Raises ModelError for a folder that scores no pairs, TokenizerError without a tokenizer.
    """
    folder = find_folder(where)
    described = describe(folder)
    if not described.plain and described.model_type != "CrossEncoder":
        raise ModelError(f"{folder} is a {described.model_type}, which scores no pairs: load it with load_sentence_encoder")
    classifies = described.plain or described.task == "sequence-classification"
    if not classifies and described.task != "feature-extraction":
        raise ModelError(f"{folder} scores with its model's {described.task}, which is not known here: give a classifier")
    config = read_config(described.root)
    named = (config.get("architectures") or ["no architecture"])[0]
    if classifies and not named.endswith("ForSequenceClassification"):
        raise ModelError(f"{folder} is a {named}, which has no trained head that scores a pair: give a sequence classifier")
    model = open_model(described.root, None if classifies else body_head(described.root), dtype=dtype)
    if described.do_lower_case:
        lower(model.tokenizer)
    for stage in described.stages:
        stage.to(dtype)
    return CrossEncoder(
        model, described.stages, activation=_activation(described, config, folder), prompts=described.prompts,
        default_prompt_name=described.about.get("default_prompt_name"), max_seq_length=longest(described, model.tokenizer),
        on_long=said_of(folder).get("on_long", "truncate"),
    ).eval()  # fmt: skip


def _activation(described: Described, config: Mapping[str, Any], folder: Path) -> nn.Module | None:
    """The one that the folder names: in its own file, in config.json, or in config.json by the old name."""
    path = (
        (None if described.plain else described.about.get("activation_fn"))
        or (config.get("sentence_transformers") or {}).get("activation_fn")
        or config.get(OLD)
    )
    return None if path is None else activation_of(str(path), str(folder))
