"""What sentence encoders and cross-encoders share: a Transformer, the stages after it, prompts before the texts, a limit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from tokenizers import normalizers
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.errors import ModelError, UsageError
from maskfork.models.encode import OnLong, Windows, limit_of, read_texts
from maskfork.models.families import family_of
from maskfork.models.hub import read_config
from maskfork.models.model import Model
from maskfork.models.packing import TOKENS, by_tokens, window_batch, windows_of
from maskfork.models.runtimes.contract import Runtime
from maskfork.models.sentence.pooling import Pooling
from maskfork.models.sentence.stages import SCORES, Features, Stage
from maskfork.models.sentence.stages import TOKENS as TOKEN_VECTORS
from maskfork.models.tokenizers.face import Tokenizer

_SPECIAL = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


class Pipeline(nn.Module):
    """`max_seq_length` counts special tokens and prompt; None leaves only the model's own limit. What it cuts is in `notes`.

    `on_long` says what becomes of longer texts; the windows of "chunk" are answered one by one and `join`ed. Legend: N texts,
    M windows, D numbers of an answer.
    """

    gives: str  # the feature that is the answer

    def __init__(
        self,
        model: Model,
        stages: Sequence[Stage] = (),
        *,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        max_seq_length: int | None = None,
        on_long: OnLong = "truncate",
    ) -> None:
        super().__init__()
        self.model = model
        self.stages = nn.ModuleList(stages)
        self.prompts = dict(prompts or {})
        self.default_prompt_name = default_prompt_name
        if default_prompt_name is not None and default_prompt_name not in self.prompts:
            raise ModelError(f"the default prompt '{default_prompt_name}' is not one of {', '.join(self.prompts) or 'none'}")
        self.max_seq_length, self.on_long = max_seq_length, on_long
        self.notes: list[str] = list(model.notes)

    def forward(self, batch: Batch, prompt_length: int = 0) -> Features:
        """Every feature that the stages write, and `token_embeddings` [B, S, E] (`scores` [N, C] where the model has a head)."""
        return features_of(self.model, self.stages, batch, prompt_length)

    def read(self, texts: Sequence[str], pairs: Sequence[str] | None = None, prompt: str = "") -> Windows:
        """N texts as the model reads them, the prompt before each (in every window of it). Raises TokenizerError, DataError."""
        whole = [prompt + text for text in texts] if prompt else texts
        return read_texts(
            self.model, whole, pairs, self.max_seq_length, self.on_long, held=self.prompt_tokens(prompt)
        )  # fmt: skip

    def answers(self, features: Features, counts: Sequence[int] | None) -> Tensor:
        """What is said of each text, [N, D] float32; `counts` [N] are their windows, None where each is one."""
        said = features[self.gives].float()
        return said if counts is None else torch.stack([self.join(part) for part in torch.split(said, list(counts))])

    @abstractmethod
    def join(self, said_MD: Tensor) -> Tensor:
        """One answer [D] from those of a text's windows."""

    def collect(
        self, texts: Sequence[str], pairs: Sequence[str] | None, prompt: str, width: int, read: Callable[[Tensor], Tensor]
    ) -> np.ndarray:
        """What `read` makes of each text's answer, [N, width] float32: longest texts first, packed, without gradients."""
        found = self.read(texts, pairs, prompt)
        if found.note is not None and found.note not in self.notes:
            self.notes.append(found.note)
        return self.collect_read(found, self.prompt_tokens(prompt), width, read)

    def collect_read(self, found: Windows, length: int, width: int, read: Callable[[Tensor], Tensor]) -> np.ndarray:
        """The same of texts that are read already; `length` tokens at the start of each are its prompt's."""
        if self.model.runtime is not None and len(found):
            return read(self._asked(self.model.runtime, found, length)).numpy()
        out, was_training = torch.zeros(len(found), width), self.training
        self.eval()
        with torch.inference_mode():
            for part in by_tokens(found.lengths, TOKENS):
                batch, counts = window_batch(found, part)
                out[torch.from_numpy(part)] = read(self.answers(self(batch.to(self.model.device), length), counts)).cpu()
        self.train(was_training)
        values: np.ndarray = out.numpy()
        return values

    def _asked(self, runtime: Runtime, found: Windows, length: int) -> Tensor:
        """[N, D]: what a runtime says, pooling and all that follows it included."""
        if length and any(isinstance(stage, Pooling) and not stage.include_prompt for stage in self.stages):
            raise UsageError("this model leaves its prompt's tokens out of the vector, which no runtime does: use the original")
        windows, counts = windows_of(found, np.arange(len(found)))
        said = runtime.run(*found.encoding.take(windows))
        return self.answers({self.gives: torch.from_numpy(np.stack(said))}, counts)

    def prompt_tokens(self, prompt: str) -> int:
        """Tokens that a prompt takes, special ones before it included; none for no prompt."""
        return prompt_length(self.model.tokenizer, prompt, limit_of(self.model, self.max_seq_length)) if prompt else 0

    def prompt_of(self, prompt: str | None, name: str | None) -> str:
        """The prompt itself, the one of that name, the default one, or none. Raises UsageError for a name that is not known."""
        if prompt is not None and name is not None:
            raise UsageError("prompt and prompt_name are both given: give one of them")
        if prompt is not None:
            return prompt
        name = self.default_prompt_name if name is None else name
        if name is not None and name not in self.prompts:
            raise UsageError(f"there is no prompt '{name}': this model has {', '.join(self.prompts) or 'none'}")
        return "" if name is None else self.prompts[name]

    def about(self) -> dict[str, Any]:
        """What config_sentence_transformers.json says of the prompts."""
        return {"prompts": self.prompts, "default_prompt_name": self.default_prompt_name}

    def settings(self) -> dict[str, Any]:
        """What sentence_bert_config.json says, in the spelling that every version reads."""
        limit = {} if self.max_seq_length is None else {"max_seq_length": self.max_seq_length}
        return {**limit, "do_lower_case": False}  # lower-casing, where it was asked for, is in the tokenizer


def features_of(model: Model, stages: nn.ModuleList, batch: Batch, prompt_length: int = 0) -> Features:
    """What a model and the stages after it say, by name."""
    out = model(batch)
    return features_after(out.last_hidden_state, out.logits, stages, batch, prompt_length)


def features_after(
    states: Tensor, logits: Tensor | None, stages: nn.ModuleList, batch: Batch, prompt_length: int = 0
) -> Features:
    """What the stages make of the last hidden states [B, S, E], and of the logits where there is a head."""
    features = {TOKEN_VECTORS: states}
    if logits is not None:
        features[SCORES] = logits
    for stage in stages:
        cast(Stage, stage)(features, batch, prompt_length)
    return features


def prompt_length(tokenizer: Tokenizer, prompt: str, limit: int | None = None) -> int:
    """Tokens that a prompt takes at the start of a text, special ones before it included, one after it not."""
    encoded = tokenizer.inner.encode(prompt)
    ids = encoded.ids if limit is None else tokenizer.encode_many([prompt], limit=limit)[0].ids
    special = {tokenizer.special(name) for name in _SPECIAL}
    return len(ids) - (1 if ids and (encoded.special_tokens_mask[-1] or ids[-1] in special) else 0)


def body_head(folder: Path) -> str | None:
    """What to load a body with: as it is (with its pooler, which is kept for saving), or without the head that it has."""
    config = read_config(folder)
    named = (config.get("architectures") or [None])[0]
    return None if named is not None and family_of(config).head_of(named) is None else "none"


def lower(tokenizer: Tokenizer) -> None:
    """Let a tokenizer read every text in lower case."""
    before = tokenizer.inner.normalizer
    first = normalizers.Lowercase()
    tokenizer.inner.normalizer = first if before is None else normalizers.Sequence([first, before])
