"""What is shown is what the objective made: token under token, answers where targets are, masks as the rule says."""

from __future__ import annotations

import numpy as np
import pytest

from maskfork.errors import UsageError
from maskfork.learn.objectives.clm import CausalLM
from maskfork.learn.objectives.contract import Objective
from maskfork.learn.objectives.mixture import Mixture, Part
from maskfork.learn.objectives.names import by_name
from maskfork.learn.objectives.prefix import PrefixLM
from maskfork.learn.objectives.show import Block, Shown, read_texts, show
from tests.learn.tiny import tokenizer

TEXT = "the bright film with a dull ending"


def shown(name: str, *texts: str, family: str = "bert", seed: int = 0, width: int = 100, **settings: object) -> Shown:
    own = tokenizer(family)
    own.inner.add_special_tokens(["<PRE>", "<SUF>", "<MID>", *(f"<extra_id_{i}>" for i in range(9))])
    return show(by_name(name, own, **settings), texts or (TEXT,), own, np.random.default_rng(seed), width=width)


def cells(block: Block) -> dict[str, list[str | None]]:
    return {row.name: row.cells for row in block.rows}


def test_masked_tokens_are_over_their_answers() -> None:
    (block,) = shown("mlm", masked=1.0, random=0.0, rate=0.4).blocks
    read, answers = cells(block)["reads"], cells(block)["answers"]
    assert [r == "[MASK]" for r in read] == [a is not None for a in answers]
    assert " ".join(a or r or "" for r, a in zip(read, answers, strict=True)) == f"[CLS] {TEXT} [SEP]"
    text = str(shown("mlm", masked=1.0, random=0.0, rate=0.4))
    reads, answered = text.splitlines()
    for word in answered.split()[1:]:
        assert reads[answered.index(f" {word}") + 1 :].startswith("[MASK]")


def test_words_are_known() -> None:
    batch = read_texts(["a clever-ish film", "light"], tokenizer("bert"))
    assert batch.words is not None
    assert batch.words[0, 0] == -1
    assert len(batch.sequences) == 2
    assert (batch.words >= 0).any()
    (block,) = shown("mlm", units="word").blocks
    assert any(cells(block)["answers"])


def test_long_texts_are_told_in_stripes() -> None:
    text = str(shown("clm", " ".join([TEXT] * 6), width=60, family="gpt2"))
    assert max(map(len, text.splitlines())) <= 60
    assert text.count("reads ") > 3
    assert "✓" not in text  # too long for a drawing


def test_masks_are_drawn() -> None:
    (causal,) = shown("clm", family="gpt2").blocks
    n = len(cells(causal)["reads"])
    assert np.array_equal(causal.masks[0].allowed, np.tril(np.ones((n, n), dtype=bool)))
    (block,) = shown("prefix-lm", family="gpt2", share=0.5).blocks
    half = n // 2
    wanted = np.tril(np.ones((n, n), dtype=bool))
    wanted[:, :half] = True
    assert np.array_equal(block.masks[0].allowed, wanted)
    assert f"the first {half} read each other in full" in block.masks[0].title
    (both,) = shown("permutation", among=2.0).blocks
    turns = [int(t or 0) for t in cells(both)["turn"]]
    whole, query = both.masks
    assert whole.allowed.tolist() == [[k <= q for k in turns] for q in turns]
    assert query.allowed.tolist() == [[k < q for k in turns] for q in turns if q]


def test_pairs_say_their_label() -> None:
    story = "a film. the plot. a scene. the music."
    found = [n for seed in range(8) for b in shown("sop", story, seed=seed).blocks for n in b.notes]
    assert {"the pair: 0, in order", "the pair: 1, swapped"} == set(found)
    (block,) = shown("sop", story).blocks
    assert set(cells(block)["types"]) == {"0", "1"}


def test_two_sides() -> None:
    (block,) = shown("span-corruption", family="t5", density=0.3).blocks
    assert list(cells(block)) == ["encoder reads", "decoder reads", "answers"]
    assert cells(block)["decoder reads"][1:] == cells(block)["answers"][:-1]
    assert "<extra_id_0>" in cells(block)["encoder reads"]


def test_replaced_tokens_are_said_so() -> None:
    for seed in range(10):
        (block,) = shown("rtd", seed=seed, rate=0.5).blocks
        original = f"[CLS] {TEXT} [SEP]".split()
        _, _, written, labels = (row.cells for row in block.rows)
        assert [label == "replaced" for label in labels] == [w != o for w, o in zip(written, original, strict=True)]


def test_rows_of_a_contrast() -> None:
    (block,) = shown("contrastive", "a film", "the film", "a plot", "the plot").blocks
    assert [note.split()[0] for note in block.notes] == ["a0", "a1", "p0", "p1"]
    assert block.masks[0].allowed.tolist() == [[True, False], [False, True]]


def test_the_order_is_as_it_was() -> None:
    (left,) = shown("fim", family="gpt2", rate=0.0).blocks
    assert "left in its order" in left.notes[0]
    (told,) = shown("fim", family="gpt2", rate=1.0).blocks
    assert told.notes == []


def test_a_mixture_names_its_parts() -> None:
    mixture: Objective = Mixture((Part(CausalLM()), Part(PrefixLM(), label="prefix")))
    blocks = show(mixture, [TEXT] * 12, tokenizer("gpt2"), np.random.default_rng(0)).blocks
    assert {block.title for block in blocks} == {"clm", "prefix"}
    assert len(blocks) == 12


def test_for_json() -> None:
    plain = shown("nsp", "a film. the plot.", "a scene. the music.").plain()
    assert plain["objective"] == "nsp"
    assert {row["name"] for row in plain["sequences"][0]["rows"]} >= {"reads", "types"}


def test_nothing_to_show() -> None:
    with pytest.raises(UsageError, match="a text of at least one word"):
        shown("clm", "", family="gpt2")
