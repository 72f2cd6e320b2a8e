"""Prompts and label tokens in one forward: what all prompts share is cached, the rest is one tree of tokens.

    shared prefix (cached)      tree of one forward
    instruction, examples  ──┬─ a film that ...  Label:  ──┬─ science ┬─ and
                             │                             └─ ...
                             ├─ dull and long    Label:  ──┬─ science ┬─ and
                             └─ ...

Nothing is padded and no prompt's beginning is read twice. Where the folder names the native pass, that reads the tree; an engine
of its own (llama.cpp) does not, and torch does. An encoder-decoder reads each prompt by its encoder, a row each, and
the labels' tree by its decoder. Legend: N prompts, C labels, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.models.model import Model
from maskfork.prompt.generate.prompts import shared
from maskfork.prompt.generate.quick import decoder_of
from maskfork.prompt.generate.reads import way_of
from maskfork.prompt.scoring.native import NativeTrees
from maskfork.prompt.scoring.trie import LabelTrie

#: tree tokens of one forward on a CPU; more would mix more prompts in one attention than the larger products win back
TOKENS = 512
#: the same elsewhere, where small products leave the device idle
TOKENS_GPU = 4096
#: source tokens of one forward of an encoder-decoder, padding included
SOURCE_TOKENS = 4096


@dataclass(frozen=True, eq=False)
class Scores:
    """log p(label | prompt) [N, C] float64, and `written` [N, C]: greedy decoding would write all of the label's tokens."""

    logprobs: np.ndarray
    written: np.ndarray


class Reader:
    """Scores the labels of `trie` after prompts. `begin`: tokens before the labels, where the decoder writes alone."""

    def __init__(self, model: Model, trie: LabelTrie, begin: Sequence[int] = ()) -> None:
        self.model, self.trie, self.begin = model, trie, list(begin)
        self._prefix: tuple[list[int], Cache] | None = None
        _, bits = way_of(model)
        self._native = None if bits is None else NativeTrees(decoder_of(model, bits))
        places = torch.tensor([place for label in trie.steps for place, _ in label])
        self._places, self._tokens = places.to(model.device) + 1, torch.tensor([t for label in trie.steps for _, t in label])
        self._tokens = self._tokens.to(model.device)
        self._owner = torch.tensor([c for c, label in enumerate(trie.steps) for _ in label], device=model.device)

    def read(self, prompts: Sequence[Sequence[int]], prefix: int = 0, moved: Callable[[int], None] | None = None) -> Scores:
        """Scores by each prompt's tokens; the first `prefix` of them are the same in all, and each prompt has more.

        `moved` hears how many prompts are done.
        """
        shape = len(prompts), len(self.trie.steps)
        out = Scores(np.empty(shape), np.empty(shape, dtype=bool))
        reads_source = self.model.spec.fork == "encoder-decoder"
        start = [] if reads_source or not prompts else list(prompts[0][:prefix])
        rests = [list(prompt[len(start) :]) for prompt in prompts]
        # Neighbours in this order share the longest beginnings, so a tree holds them once; or pad the least.
        order = sorted(range(len(rests)), key=(lambda i: -len(rests[i])) if reads_source else (lambda i: rests[i]))
        with torch.inference_mode():
            for part in self._parts([rests[i] for i in order]):
                rows = order[part]
                out.logprobs[rows], out.written[rows] = self._score(start, [rests[i] for i in rows])
                if moved is not None:
                    moved(len(rows))
        return out

    def _parts(self, rests: list[list[int]]) -> list[slice]:
        """Prompts of one forward: as many as its tokens allow, one at the least."""
        parts, start, tokens = [], 0, 0
        reads_source = self.model.spec.fork == "encoder-decoder"
        for i, rest in enumerate(rests):
            if reads_source:
                budget, tokens = SOURCE_TOKENS, len(rests[start]) * (i - start + 1)
            else:
                again = shared(rests[i - 1], rest) if i > start else 0
                # a long prompt keeps company with those that go on from most of it
                usual = TOKENS if self.model.device.type == "cpu" else TOKENS_GPU
                budget = max(usual, len(rests[start]) + usual // 2)
                tokens += len(rest) - again + len(self.trie.tokens)
            if i > start and tokens > budget:
                parts.append(slice(start, i))
                start, tokens = i, len(rest) + len(self.trie.tokens)
        return [*parts, slice(start, len(rests))] if rests else []

    def _score(self, prefix: list[int], prompts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
        """([N, C], [N, C])"""
        reads_source = self.model.spec.fork == "encoder-decoder"
        logits_NMV = (self._from_source(prompts) if reads_source else self._from_tree(prefix, prompts)).float()
        steps = logits_NMV[:, self._places, self._tokens] - logits_NMV.logsumexp(-1)[:, self._places]
        missed = logits_NMV.argmax(-1)[:, self._places] != self._tokens
        out = torch.zeros(len(prompts), len(self.trie.steps), dtype=torch.float64, device=steps.device)
        logprobs = out.index_add(1, self._owner, steps.double()).cpu().numpy()
        return logprobs, (out.index_add(1, self._owner, missed.double()) == 0).cpu().numpy()

    def _from_tree(self, prefix: list[int], prompts: list[list[int]]) -> Tensor:
        """Logits [N, 1 + M, V] after each prompt and after each inner node of the labels."""
        tokens, parents, places = self._tree(prompts)
        shape = len(prompts), 1 + len(self.trie.tokens), -1
        if self._native is not None:
            return self._native.read(prefix, tokens, parents, places).view(shape)
        if len(prompts) == 1 and not self.trie.tokens:
            batch = Batch.padded(torch.tensor([tokens]))  # a plain text: a tree of one branch would need a drawn mask
        else:
            # libraries that compile a kernel for every shape see few shapes
            fill = -len(tokens) % 64 if len(tokens) >= 256 else 0
            batch = Batch.tree(tokens + [0] * fill, parents + [-1] * fill)
        at = torch.tensor(places, device=self.model.device)
        logits: Tensor = self.model(batch.to(self.model.device), cache=self._cached(prefix), logits_at=at).logits
        return logits.view(shape)

    def _tree(self, prompts: list[list[int]]) -> tuple[list[int], list[int], list[int]]:
        """Tokens and parents of the prompts, sorted, each with the labels behind it; and where the logits are read."""
        tokens: list[int] = []
        parents: list[int] = []
        places: list[int] = []
        path: list[int] = []  # the storage index of each token of the last prompt
        last: list[int] = []
        for prompt in prompts:
            # a prompt's own last token is never shared: the labels behind it must stay in its branch
            kept = min(shared(last, prompt), len(prompt) - 1, max(0, len(last) - 1))
            del path[kept:]
            for token in prompt[kept:]:
                parents.append(path[-1] if path else -1)
                path.append(len(tokens))
                tokens.append(token)
            end, first = path[-1], len(tokens)
            tokens += self.trie.tokens
            parents += [end if parent < 0 else first + parent for parent in self.trie.parents]
            places += [end, *range(first, len(tokens))]
            last = prompt
        return tokens, parents, places

    def _cached(self, prefix: list[int]) -> Cache | None:
        """What all prompts begin with, read once for all forwards; a copy to write on."""
        if not prefix:
            return None
        if self._prefix is None or self._prefix[0] != prefix:
            cache = Cache()
            nowhere = torch.empty(0, dtype=torch.long, device=self.model.device)
            self.model(torch.tensor([prefix], device=self.model.device), cache=cache, logits_at=nowhere)
            self._prefix = prefix, cache
        return self._prefix[1].repeat(1)

    def _from_source(self, prompts: list[list[int]]) -> Tensor:
        """The same of an encoder-decoder, whose encoder reads the prompts."""
        end = self.model.spec.eos_id
        closing = [end] if isinstance(end, int) else []
        source = Batch.from_lists([prompt + closing for prompt in prompts], self.model.spec.pad_id or 0).to(self.model.device)
        start = len(self.begin)
        tree = Batch.tree(
            [*self.begin, *self.trie.tokens],
            [*range(-1, start - 1), *(start - 1 if parent < 0 else start + parent for parent in self.trie.parents)],
        ).to(self.model.device)
        tree = replace(tree, tokens=tree.tokens.expand(len(prompts), -1))
        return self.model(source, decoder_input_ids=tree).logits[:, start - 1 :]  # type: ignore[no-any-return]
