"""One vector a text from its token vectors, in the ways of sentence-transformers; several ways are set side by side.

    cls                   the first token's
    lasttoken             the last token's
    max                   the largest value of each dimension
    mean                  the mean
    mean_sqrt_len_tokens  the sum over the root of the length
    weightedmean          the mean, token i counted i times (Muennighoff 2022, section 3.1)

Legend: N texts, T tokens of all of them, E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from maskfork.core.batch import Batch, Traced
from maskfork.errors import ModelError, UsageError
from maskfork.models.sentence.stages import SENTENCE, TOKENS, Features, Stage

#: the old spelling's switches, in the order in which it sets the vectors side by side
SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
MODES = tuple(SWITCHES.values())


class Pooling(Stage):
    """[1, T, E] -> [N, E * modes]. Without `include_prompt` the prompt's tokens are read by the model and not pooled."""

    source, target = TOKENS, SENTENCE

    def __init__(self, width: int, modes: str | Sequence[str] = "mean", *, include_prompt: bool = True) -> None:
        super().__init__()
        self.modes = (modes,) if isinstance(modes, str) else tuple(modes)
        strange = [mode for mode in self.modes if mode not in MODES]
        if strange or not self.modes:
            raise ModelError(f"'{strange[0] if strange else ''}' is not a way to pool: use {', '.join(MODES)}")
        self.include_prompt = include_prompt
        self.takes, self.gives = width, width * len(self.modes)

    def forward(self, features: Features, batch: Batch, prompt: int) -> None:
        features[SENTENCE] = self.pool(features[TOKENS], batch, 0 if self.include_prompt else prompt)

    def pool(self, x_BSE: Tensor, batch: Batch, skip: int = 0) -> Tensor:
        """[N, E * modes], padding never read. Raises UsageError where `skip` tokens are all that a text has."""
        if isinstance(batch, Traced):
            return self._rectangle(x_BSE, batch)
        flat, wide = x_BSE.flatten(0, 1), torch.promote_types(x_BSE.dtype, torch.float32)
        first_N, last_N = batch.flat
        lengths = [n - skip for _, _, n in batch.sequences]
        if min(lengths, default=1) < 1:
            raise UsageError("the prompt takes all the tokens that a text may have: shorten it, or raise max_seq_length")
        kept_N = torch.tensor(lengths, device=flat.device)
        owner_T = torch.repeat_interleave(torch.arange(len(lengths), device=flat.device), kept_N)
        place_T = torch.arange(len(owner_T), device=flat.device) - (kept_N.cumsum(0) - kept_N)[owner_T] + skip
        x_TE = flat[first_N[owner_T] + place_T].to(wide)

        def sums(weight_T: Tensor | None = None) -> Tensor:
            weighed = x_TE if weight_T is None else x_TE * weight_T[:, None]
            return x_TE.new_zeros(len(lengths), x_TE.shape[-1]).index_add(0, owner_T, weighed)

        def one(mode: str) -> Tensor:
            match mode:
                case "cls":
                    return flat[first_N + skip]
                case "lasttoken":
                    return flat[last_N]
                case "max":
                    low = x_TE.new_full((len(lengths), x_TE.shape[-1]), float("-inf"))
                    return low.scatter_reduce(0, owner_T[:, None].expand_as(x_TE), x_TE, "amax")
                case "mean":
                    return sums() / kept_N[:, None]
                case "mean_sqrt_len_tokens":
                    return sums() / kept_N[:, None].to(wide).sqrt()
            weight_T = (place_T + 1).to(wide)
            return sums(weight_T) / weight_T.new_zeros(len(lengths)).index_add(0, owner_T, weight_T)[:, None]

        return torch.cat([one(mode).to(flat.dtype) for mode in self.modes], dim=-1)

    def _rectangle(self, x_BSE: Tensor, batch: Traced) -> Tensor:
        """The same of rows padded on the right, by masks alone."""
        flat, (first_B, last_B) = x_BSE.flatten(0, 1), batch.flat
        kept_BS1 = batch.kept[..., None].to(x_BSE.dtype)
        place_S1 = torch.arange(1, batch.shape[1] + 1, device=x_BSE.device, dtype=x_BSE.dtype)[:, None]

        def one(mode: str) -> Tensor:
            match mode:
                case "cls":
                    return flat[first_B]
                case "lasttoken":
                    return flat[last_B]
                case "max":
                    return x_BSE.masked_fill(~batch.kept[..., None], torch.finfo(x_BSE.dtype).min).amax(1)
            weight_BS1 = kept_BS1 * place_S1 if mode == "weightedmean" else kept_BS1
            whole_B1 = weight_BS1.sum(1)
            return (x_BSE * weight_BS1).sum(1) / (whole_B1.sqrt() if mode == "mean_sqrt_len_tokens" else whole_B1)

        return torch.cat([one(mode) for mode in self.modes], dim=-1)

    def config(self) -> dict[str, Any]:
        """The old spelling, which every version reads, where it can say the order; else the new one."""
        prompt = {} if self.include_prompt else {"include_prompt": False}
        if list(self.modes) != [mode for mode in MODES if mode in self.modes]:
            return {"embedding_dimension": self.takes, "pooling_mode": list(self.modes), "include_prompt": self.include_prompt}
        switches = {name: mode in self.modes for name, mode in SWITCHES.items()}
        return {"word_embedding_dimension": self.takes, **switches, **prompt}


def read_pooling(said: dict[str, Any], where: str) -> Pooling:
    """From a module's config.json in either spelling; no way named is the mean. Raises ModelError."""
    width = said.get("embedding_dimension", said.get("word_embedding_dimension"))
    if not isinstance(width, int):
        raise ModelError(f"{where} lacks embedding_dimension: the download is incomplete")
    modes = said.get("pooling_mode")
    if modes is None:
        strange = [k for k, on in said.items() if k.startswith("pooling_mode") and on and k not in SWITCHES]
        if strange:
            raise ModelError(f"{where} asks for {strange[0]}, which is not a way to pool here: it has {', '.join(MODES)}")
        modes = [mode for name, mode in SWITCHES.items() if said.get(name)] or "mean"
    return Pooling(width, modes, include_prompt=bool(said.get("include_prompt", True)))
