"""Windows that know their characters: no token lost, every unit read once, where it stands best."""

from __future__ import annotations

import numpy as np
import pytest

from maskfork.errors import DataError
from maskfork.learn.tasks.common.windows import cut, owners
from maskfork.models.encode import encode
from tests.learn.tiny import make, sentences

TEXTS = [*sentences(6, 5)[0], "film story " * 60, "a", ""]


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "bart", "t5"])
def test_short_texts_are_encoded_as_everywhere(family: str) -> None:
    model = make(family)
    placed, plain = cut(model, TEXTS[:6]), encode(model, TEXTS[:6])
    assert placed.encoding.ids == plain.ids
    assert placed.encoding.types == plain.types
    pairs = cut(model, ["a film", "the plot"], ["a dull story", "a warm ending"])
    assert pairs.encoding == encode(model, ["a film", "the plot"], ["a dull story", "a warm ending"])


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "bart", "t5"])
@pytest.mark.parametrize("stride", [0, 5, 40])
def test_windows_lose_no_token(family: str, stride: int) -> None:
    model = make(family)
    placed = cut(model, TEXTS, limit=20, stride=stride)
    whole = model.tokenizer.encode_placed(TEXTS)
    assert placed.lost == [0] * len(TEXTS)
    for text, rows in enumerate(placed.of_text()):
        own = [t for t, side in zip(whole[text].ids, whole[text].sides, strict=True) if side == 0]
        held = np.unique(np.concatenate([placed.tokens[w] for w in rows]))
        assert held.tolist() == list(range(len(own)))
        for w in rows:
            ids, at = placed.encoding.ids[w], int(placed.at[w])
            assert len(ids) <= 20
            assert [own[i] for i in placed.tokens[w]] == ids[at : at + len(placed.tokens[w])]
        count = np.arange(len(own))
        window, place = owners(placed, rows, count, count + 1)
        assert (window >= 0).all()
        for i in count.tolist():
            assert placed.encoding.ids[window[i]][place[i]] == own[i]
            inner = [min(k, len(placed.tokens[w]) - 1 - k) for w in rows if (k := i - int(placed.tokens[w][0])) >= 0
                     and i in placed.tokens[w]]  # fmt: skip
            mine = i - int(placed.tokens[window[i]][0])
            edge = window[i] in (rows[0], rows[-1])
            assert edge or min(mine, len(placed.tokens[window[i]]) - 1 - mine) == max(inner)


def test_what_is_cut_is_counted() -> None:
    model = make("bert")
    for how, words in (("truncate", "from their ends"), ("head+tail", "out of their middle")):
        placed = cut(model, TEXTS, limit=20, on_long=how)  # type: ignore[arg-type]
        whole = [len(e.ids) for e in model.tokenizer.encode_placed(TEXTS)]
        assert placed.lost == [max(0, n - 20) for n in whole]
        assert len(placed.encoding.ids) == len(TEXTS)
        note = placed.note(how, 20)  # type: ignore[arg-type]
        assert note is not None
        assert f"{sum(placed.lost)} tokens" in note
        assert words in note
    assert "no token is lost" in (cut(model, TEXTS, limit=20).note("chunk", 20) or "")
    assert cut(model, TEXTS[:3]).note("chunk", 64) is None
    with pytest.raises(DataError, match=r"row 7 has .* tokens and the limit is 20"):
        cut(model, TEXTS, limit=20, on_long="error")
