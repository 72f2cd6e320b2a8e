"""The coverage-risk curve by hand, and a promise about errors that holds by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from maskfork.errors import DataError
from maskfork.measure.selective import confidence_for, coverage_risk


def test_the_curve_by_hand() -> None:
    curve = coverage_risk([0.9, 0.5, 0.7, 0.5], [True, False, True, True])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 1.0])
    np.testing.assert_allclose(curve.risk, [0.0, 0.0, 0.25])
    np.testing.assert_allclose(curve.threshold, [0.9, 0.7, 0.5])
    assert curve.area == pytest.approx(0.125)
    assert curve.at([0.4])[0] == {"coverage": 0.5, "risk": 0.0, "threshold": 0.7}
    assert coverage_risk([0.3] * 4, [True, False, True, True]).area == pytest.approx(0.25)
    with pytest.raises(DataError, match="needs rows"):
        coverage_risk([], [])


def test_errors_stay_as_rare_as_promised() -> None:
    """Right with the probability that the confidence says: at most 5 % of thresholds may let through more than 10 % errors."""
    rng = np.random.default_rng(1)
    kept, broken = 0, 0
    for _ in range(200):
        sure = 1 - 0.4 * rng.random(1000)
        threshold = confidence_for(sure, rng.random(1000) < sure, 0.1)
        if threshold is None:
            continue
        kept += 1
        broken += (1 - threshold) / 2 > 0.1  # the true error above the threshold
    assert kept > 100
    assert broken <= 0.05 * 200
    assert confidence_for([0.9] * 50, [False] * 50, 0.1) is None
    assert confidence_for([0.9] * 50, [True] * 50, 0.1) == 0.9
