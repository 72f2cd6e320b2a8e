"""How alike vectors are, larger being more alike: cosine, dot, euclidean and manhattan (distances count below zero)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from maskfork.errors import ModelError

SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")


def check(name: str) -> str:
    """The name itself. Raises ModelError for one that is not known."""
    if name not in SIMILARITIES:
        raise ModelError(f"'{name}' does not compare two vectors here: use {', '.join(SIMILARITIES)}")
    return name


def similarity(name: str, a_NE: np.ndarray, b_ME: np.ndarray) -> np.ndarray:
    """[N, M]: every vector of `a` with every one of `b`."""
    a, b = _tensors(name, a_NE, b_ME)
    if name in ("cosine", "dot"):
        return (a @ b.T).numpy()
    # Differences, not dot products: the fast way loses the last digits of near vectors.
    p = 2.0 if name == "euclidean" else 1.0
    distances: Tensor = torch.cdist(a, b, p=p, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.neg().numpy()


def similarity_pairwise(name: str, a_NE: np.ndarray, b_NE: np.ndarray) -> np.ndarray:
    """[N]: each vector of `a` with the one in the same place of `b`."""
    a, b = _tensors(name, a_NE, b_NE)
    if name in ("cosine", "dot"):
        return (a * b).sum(-1).numpy()
    norms: Tensor = torch.linalg.vector_norm(a - b, ord=2 if name == "euclidean" else 1, dim=-1)
    return norms.neg().numpy()


def _tensors(name: str, a: np.ndarray, b: np.ndarray) -> tuple[Tensor, Tensor]:
    found = [torch.as_tensor(np.atleast_2d(x), dtype=torch.float32) for x in (a, b)]
    first, second = (normalize(x, dim=-1) for x in found) if check(name) == "cosine" else found
    return first, second
