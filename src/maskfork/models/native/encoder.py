"""One pass of an encoder in C++ over texts that lie one behind another, without padding.

Legend: N texts, M tokens of all texts, E hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, byref, c_int64, c_void_p
from itertools import chain
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.models.cores import usable_cores
from maskfork.models.model import Model
from maskfork.models.native.build import library
from maskfork.models.native.layout import Layout
from maskfork.models.native.refused import Bits, encoder_refusal

PIECE = 256  # tokens that one thread carries through all layers: what they need fits into its cache
SEVERAL = 4  # pieces for each thread
BLOCK = 96  # rows between one multiplication and the next

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Want = Literal["all", "first", "mean"]
WANTED: tuple[Want, ...] = ("all", "first", "mean")  # as encoder.cpp numbers them
_SIZES = ("pieces", "want", "threads", "tokens", "texts", "longest", "block")


class _Pass(Structure):
    _fields_ = [
        *((name, c_int64) for name in _SIZES),
        *((name, c_void_p) for name in ("ids", "types", "starts", "bounds", "out", "scratch")),
    ]  # fmt: skip


class NativeEncoder:
    """Weights in 32 bits (as they are), in 16 (bfloat16) or in 8 (a scale an output; a token's numbers in 255 levels of its own).

    Sums are in float32, attention in bfloat16 below 32 bits. `threads`: None for the cores that may be used. One thread at a
    time may ask. `judged`, for models that `head_fits`: "first" and "mean" end with the head's logits [N, C].
    Raises UsageError where `encoder_refusal` has a reason, and where there is no compiler.
    """

    def __init__(
        self, model: Model, bits: Bits = 8, threads: int | None = None, piece: int = PIECE, *, judged: bool = False
    ) -> None:
        if bits not in (32, 16, 8):
            raise UsageError(f"the quick pass of an encoder has 32, 16 or 8 bits, not {bits}")
        if (reason := encoder_refusal(model)) is not None:
            raise UsageError(f"this model has no quick pass because {reason}: take another runtime")
        body = model.body.encoder
        assert body is not None
        self._library, self._layout = library("encoder"), Layout(body, bits, model if judged else None)
        self._labels = model.spec.head.labels if judged and model.spec.head is not None else 0
        self.bits, self.threads, self.piece = bits, min(threads or usable_cores(), 64), piece
        self.model, self._body = model, body
        self._scratch = torch.empty(0, dtype=torch.uint8)

    def run(self, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None = None, want: Want = "all") -> Floats:
        """The last hidden states [M, E] of texts that lie one behind another, or [N, E] of their first tokens, or their means.

        Judged: logits [N, C] for these.

        Raises TokenizerError for a token that the model does not know, ModelError for a text that is too long, UsageError for
        one without tokens.
        """
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        if not lengths.min(initial=1):
            raise UsageError(f"text {int(lengths.argmin()) + 1} has no tokens: give it at least one")
        starts = np.zeros(len(ids) + 1, np.int32)
        np.cumsum(lengths, out=starts[1:])
        total, net = int(starts[-1]), self._layout.net
        judged = want != "all" and self._labels
        out = np.empty((total if want == "all" else len(ids), net.judge.out.n if judged else net.width), np.float32)
        if total:
            tokens = _joined(ids, total)
            kinds = None if types is None or self._body.embed.types is None else _joined(types, total)
            self._check(tokens, lengths, kinds)
            self._pass(tokens, kinds, starts, WANTED.index(want), out)
        return out[:, : self._labels if judged else net.hidden]

    def _pass(self, tokens: Ints, kinds: Ints | None, starts: Ints, want: int, out: Floats) -> None:
        net, longest = self._layout.net, int(np.diff(starts).max())
        self._layout.turn(longest)
        bounds = _pieces(starts, self.piece, self.threads)
        run = _Pass(
            pieces=len(bounds) - 1, want=want, threads=self.threads, tokens=int(np.diff(starts[bounds]).max()),
            texts=int(np.diff(bounds).max()), longest=longest, block=BLOCK, ids=tokens.ctypes.data,
            types=None if kinds is None else kinds.ctypes.data, starts=starts.ctypes.data, bounds=bounds.ctypes.data,
            out=out.ctypes.data,
        )  # fmt: skip
        size = self._library.scratch_size(byref(net), byref(run)) + 64
        if self._scratch.numel() < size:
            self._scratch = torch.empty(size, dtype=torch.uint8)
        run.scratch = -(-self._scratch.data_ptr() // 64) * 64
        self._library.encode(byref(net), byref(run))

    def _check(self, tokens: Ints, lengths: npt.NDArray[np.int64], kinds: Ints | None) -> None:
        """As the model checks a batch: what is plainly within its bounds needs no batch for that."""
        spec, longest = self.model.spec, self.model.longest
        fits = longest is None or int(lengths.max()) <= longest
        typed = kinds is None or 0 <= kinds.min() <= kinds.max() < spec.main.embed.types
        if fits and typed and 0 <= tokens.min() <= tokens.max() < spec.vocab_size:
            return
        places = np.arange(len(tokens)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        of = None if kinds is None else torch.from_numpy(kinds)[None]
        batch = Batch(torch.from_numpy(tokens)[None], torch.from_numpy(places)[None], types=of)
        self.model._check_tokens(batch, spec.vocab_size)
        self._body._check(batch)


def _joined(ids: Sequence[Sequence[int]], total: int) -> Ints:
    return np.fromiter(chain.from_iterable(ids), np.int32, total)


def _pieces(starts: Ints, piece: int, threads: int) -> Ints:
    """Where pieces of about as many tokens begin, in texts, and the end of the last.

    Several for each thread, where there are texts for all: while the system gives one thread's core to somebody else, the
    others go on with its pieces. One text alone is one piece, which all threads share.
    """
    texts, total = len(starts) - 1, int(starts[-1])
    count = min(texts, max(-(-total // (piece * threads)), SEVERAL if threads > 1 else 1) * threads)
    if count == 1:
        return np.array([0, texts], np.int32)
    inner = np.searchsorted(starts, np.arange(1, count) * (total / count))
    return np.unique(np.concatenate([[0], inner, [texts]])).astype(np.int32)
