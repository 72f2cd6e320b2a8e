"""A static student: token vectors distilled from an encoder, then fitted with a head to what its teacher says of texts.

Tulkens & van Dongen 2024 (Model2Vec): each token alone through the encoder, principal components, and weights by how rare it is
(Arora et al. 2017, "A simple but tough-to-beat baseline for sentence embeddings": a / (a + p)).

Legend: N texts, V vocabulary, D numbers of a vector, C labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from maskfork.decide.distill.student import FloatArray, robust_loss
from maskfork.learn.tasks.classify.hold import validation_split
from maskfork.learn.tasks.common.fitting import fit_rows
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tasks.static import StaticClassifier
from maskfork.models.encode import Encoding, wants_types
from maskfork.models.model import Model
from maskfork.models.packing import TOKENS, by_tokens, make_batch
from maskfork.models.sentence.stages import Dense
from maskfork.models.static import StaticModel, bags

#: Arora et al.'s a
RARE = 1e-3
WIDTH = 256
SETTINGS = TaskSettings(epochs=12.0, learning_rate=2e-3, head_rate=1.0, weight_decay=0.01, batch_size=64, precision="fp32")


def token_vectors(model: Model, width: int = WIDTH, counts: Counter[int] | None = None) -> Tensor:
    """[V, D]: every token between the special ones, the mean of its states, principal components, the rarer the longer.

    `counts` are tokens of the user's texts; a token that is not there is as rare as Zipf's law makes its rank.
    """
    special = model.tokenizer.encode("")
    front, back = special[: (len(special) + 1) // 2], special[(len(special) + 1) // 2 :]
    ids = [[*front, token, *back] for token in range(model.tokenizer.size)]
    encoding = Encoding(ids, [[0] * len(own) for own in ids] if wants_types(model) else None, [0] * len(ids))
    vectors = np.zeros((len(ids), model.spec.hidden_size), np.float32)
    with torch.inference_mode():
        for part in by_tokens(encoding.lengths, TOKENS, rows=1024):
            states = model(make_batch(encoding, part).to(model.device)).last_hidden_state[0]
            size = len(ids[0])
            vectors[part] = states[: len(part) * size].float().reshape(len(part), size, -1).mean(1).cpu().numpy()
    small = PCA(min(width, *vectors.shape), svd_solver="covariance_eigh").fit_transform(vectors)
    weighed = small * _rarity(len(ids), counts or Counter())[:, None]
    return torch.from_numpy(np.ascontiguousarray(weighed, dtype=np.float32))


def _rarity(size: int, counts: Counter[int]) -> np.ndarray:
    """a / (a + p) of each token; the texts' own counts, and Zipf's law over the vocabulary's order as one text more."""
    zipf = 1.0 / np.arange(2, size + 2)
    seen = np.array([counts[token] for token in range(size)], dtype=np.float64)
    share = (seen + zipf / zipf.sum()) / (seen.sum() + 1.0) if seen.sum() else zipf / zipf.sum()
    found: np.ndarray = RARE / (RARE + share)
    return found


def train_static(
    model: Model,
    texts: Sequence[str],
    beliefs: FloatArray,
    names: tuple[str, ...],
    *,
    settings: TaskSettings = SETTINGS,
    width: int = WIDTH,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
    work: Path | None = None,
) -> StaticClassifier:
    """A static classifier of N texts whose labels are believed to be `beliefs` [N, C]; `model` gives the tokens' vectors.

    The best epoch is chosen by the beliefs of rows that are kept back. With `work` a run that was cut off goes on.
    """
    read = [found.ids for found in model.tokenizer.encode_many(texts, special=False)]
    vectors = token_vectors(model, width, Counter(token for own in read for token in own))
    used = sorted({token for own in read for token in own})  # the others have nothing to learn from
    place = {token: i for i, token in enumerate(used)}
    short = [[place[token] for token in own] for own in read]
    generator = torch.Generator().manual_seed(seed)
    layers = [Dense(vectors.shape[1], width, activation=nn.ReLU()), Dense(width, len(names), activation=nn.Identity())]
    with torch.no_grad():
        for layer in layers:
            nn.init.xavier_uniform_(layer.linear.weight, generator=generator)
            nn.init.zeros_(layer.linear.bias)
    made = StaticModel(model.tokenizer, vectors[used].clone(), layers)
    inside, held = validation_split(beliefs.argmax(1), settings, seed)
    targets = torch.from_numpy(beliefs.astype(np.float32))

    def make(part: np.ndarray) -> tuple[tuple[Tensor, Tensor], Tensor]:
        chosen = inside[part].tolist()
        return bags([short[i] for i in chosen]), targets[chosen]

    def loss(module: nn.Module, batch: tuple[tuple[Tensor, Tensor], Tensor]) -> Tensor:
        return robust_loss(module(*batch[0]), batch[1], 0.0)

    def evaluate(module: nn.Module) -> tuple[float, float]:
        with torch.inference_mode():
            logits = module(*bags([short[i] for i in held]))
        right = beliefs[held][np.arange(len(held)), logits.argmax(1).numpy()].mean()
        return float(right), -float(robust_loss(logits, targets[torch.from_numpy(held)], 0.0))

    fitted = fit_rows(
        made, [max(1, len(short[i])) for i in inside], make, loss, settings, seed=seed,
        evaluate=evaluate if len(held) else None, progress=progress, work=work,
    )  # fmt: skip
    vectors[used] = made.vectors.weight.detach()
    whole = StaticModel(model.tokenizer, vectors, layers).eval()
    said = (
        f"{len(used):,} of {len(vectors):,} token vectors were fitted on {len(inside):,} texts, the others are the encoder's own"
    )
    return StaticClassifier(whole, names, [said, *fitted.notes])
