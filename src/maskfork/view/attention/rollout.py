"""Attention rollout: how much of each token has arrived at each place after all layers (Abnar & Zuidema 2020, section 3).

    A_l = (mean over heads of layer l + identity) / row sum       the identity is the residual path
    rollout = A_L ... A_2 A_1

For an encoder-decoder, cross-attention is one more step of the decoder's layer that reads the encoder's last places, which
stand for what the encoder's own rollout says: a place of the decoder is then shares of the target and of the source, which
sum to one. (The paper treats self-attention only; the step is its own formula over the tokens of both sides.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]
Allowed = NDArray[np.bool_]


def rollout(weights_LHQK: Weights) -> Weights:
    """[Q, Q], each row a distribution over the tokens that entered. Works for a causal rule too."""
    whole = np.eye(weights_LHQK.shape[-1], dtype=np.float64)
    for step in weights_LHQK.mean(1, dtype=np.float64):
        whole = _with_residual(step, whole, whole)
    return whole.astype(np.float32)


def rollout_cross(self_LHTT: Weights, cross_LHTS: Weights, source_SS: Weights) -> tuple[Weights, Weights]:
    """(over the target [T, T], over the source [T, S]) of a decoder's places; each row sums to one over both.

    `source_SS` is the encoder's own rollout.
    """
    target, source = cross_LHTS.shape[-2:]
    whole = np.concatenate([np.eye(target), np.zeros((target, source))], axis=1)
    arrived = np.concatenate([np.zeros((source, target)), source_SS.astype(np.float64)], axis=1)
    for own, across in zip(self_LHTT.mean(1, dtype=np.float64), cross_LHTS.mean(1, dtype=np.float64), strict=True):
        whole = _with_residual(own, whole, whole)
        whole = _with_residual(across, arrived, whole)
    return whole[:, :target].astype(np.float32), whole[:, target:].astype(np.float32)


def reach(allowed_LHQK: Allowed) -> Allowed:
    """[Q, Q]: where some chain of layers leads, by the rules alone; the rollout is zero elsewhere."""
    whole = np.eye(allowed_LHQK.shape[-1], dtype=bool)
    for step in np.asarray(allowed_LHQK.any(1)):
        whole = ((step | np.eye(len(step), dtype=bool)).astype(np.int64) @ whole.astype(np.int64)) > 0
    return whole


def reach_cross(self_LHTT: Allowed, cross_LHTS: Allowed, source_SS: Allowed) -> Allowed:
    """[T, S]: which source tokens some chain of layers brings to a place of the decoder."""
    whole = np.zeros(cross_LHTS.shape[-2:], dtype=bool)
    for own, across in zip(np.asarray(self_LHTT.any(1)), np.asarray(cross_LHTS.any(1)), strict=True):
        whole = whole | ((own.astype(np.int64) @ whole.astype(np.int64)) > 0)
        whole = whole | ((across.astype(np.int64) @ source_SS.astype(np.int64)) > 0)
    return whole


def _with_residual(step: NDArray[np.float64], read: NDArray[np.float64], kept: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a place has after reading `read` by `step` beside its own `kept`; a row that reads nothing keeps all."""
    shares: NDArray[np.float64] = (step @ read + kept) / (step.sum(-1, keepdims=True) + 1.0)
    return shares
