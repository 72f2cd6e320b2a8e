"""The embed task on tiny models: each kind of rows is learnt, saved, opened again, and read by sentence-transformers alike."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from maskfork.errors import DataError, UsageError
from maskfork.learn.tasks.common.contract import Sources
from maskfork.learn.tasks.common.settings import settings_of
from maskfork.learn.tasks.embed import TASK
from maskfork.learn.tasks.embed.base import base_encoder
from maskfork.learn.tasks.embed.settings import EmbedSettings
from maskfork.learn.tasks.embed.trained import TrainedEncoder
from maskfork.models.sentence import load_sentence_encoder
from tests.learn.tiny import BAD, GOOD, PLAIN, make


def table(path: Path, head: list[str], rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([head, *rows])
    return path


def phrase(rng: np.random.Generator, word: str) -> str:
    words = [*rng.choice(PLAIN, 4).tolist(), word]
    return " ".join(rng.permutation(words).tolist())


def write(kind: str, path: Path, count: int = 160, seed: int = 0) -> Path:
    """Texts with one of 14 words; what has the same word belongs together."""
    rng = np.random.default_rng(seed)
    words = [str(w) for w in rng.choice([*GOOD, *BAD], count)]
    others = [str(rng.choice([w for w in (*GOOD, *BAD) if w != word])) for word in words]
    if kind == "pairs":
        return table(path, ["anchor", "positive"], [[phrase(rng, w), phrase(rng, w)] for w in words])
    if kind == "triplets":
        rows = [[phrase(rng, w), phrase(rng, w), phrase(rng, o)] for w, o in zip(words, others, strict=True)]
        return table(path, ["anchor", "positive", "negative"], rows)
    if kind == "scored":
        pick = [(w, w, 5.0) if i % 2 else (w, o, 1.0) for i, (w, o) in enumerate(zip(words, others, strict=True))]
        return table(path, ["sentence1", "sentence2", "score"], [[phrase(rng, a), phrase(rng, b), s] for a, b, s in pick])
    return table(path, ["text", "label"], [[phrase(rng, w), w] for w in words])


def trained(tmp_path: Path, kind: str, **given: Any) -> tuple[TrainedEncoder, Any]:
    base = make("bert").save(tmp_path / "base")
    settings = settings_of(EmbedSettings, {"min_steps": 60, "learning_rate": 3e-3, "batch_size": 16, **given})
    sources = Sources(write(kind, tmp_path / "train.csv"), test=write(kind, tmp_path / "test.csv", 60, seed=1))
    split = TASK.read(sources, settings)
    made = TASK.train(base, split, settings)
    assert isinstance(made, TrainedEncoder)
    return made, split


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("pairs", {"dims": "8,16"}),
        ("pairs", {"loss": "symmetric", "negatives": 2}),
        ("triplets", {"loss": "triplet"}),
        ("scored", {}),
        ("scored", {"loss": "cosine", "pooling": "max"}),
        ("labelled", {}),
        ("labelled", {"loss": "batch-triplet", "normalise": True}),
    ],
)
def test_every_kind_of_rows_is_learnt(tmp_path: Path, kind: str, given: dict[str, Any]) -> None:
    made, split = trained(tmp_path, kind, **given)
    assert split.train.kind == kind
    untrained = TASK.open(tmp_path / "base").evaluate(split.test)
    scores = made.evaluate(split.test)
    assert scores.values[scores.main].value > untrained.values[scores.main].value + 0.1
    assert scores.values[scores.main].low < scores.values[scores.main].value < scores.values[scores.main].high


def test_the_folder_is_sentence_transformers(tmp_path: Path) -> None:
    made, split = trained(tmp_path, "pairs", query_prompt="funny: ", pooling="cls", normalise=True, min_steps=2)
    folder = made.save(tmp_path / "out")
    texts = list(split.test.columns[0])
    theirs = SentenceTransformer(str(folder), device="cpu")
    ours = TASK.open(folder)
    assert isinstance(ours, TrainedEncoder)
    for encode, other in ((made.encoder.encode, theirs.encode), (ours.encoder.encode_query, theirs.encode_query)):
        np.testing.assert_allclose(encode(texts), other(texts), atol=2e-6)
    answers = ours.predict([{"text": texts[0]}, {"text": "film " * 200}])
    np.testing.assert_allclose(answers[0]["vector"], theirs.encode(texts[0]), atol=2e-6)
    assert answers[0]["tokens_lost"] == 0 < answers[1]["tokens_lost"]
    (alike,) = ours.predict([{"anchor": texts[0], "positive": texts[0]}])
    assert alike["similarity"] == pytest.approx(1.0, abs=1e-6)


def test_a_raw_cls_is_warned_of(tmp_path: Path) -> None:
    made, _ = trained(tmp_path, "pairs", pooling="cls", min_steps=1)
    assert any("nothing has trained it for that" in note and "Reimers" in note for note in made.notes)
    saved = made.save(tmp_path / "out")
    again = TASK.train(
        saved, TASK.read(Sources(tmp_path / "train.csv"), EmbedSettings()), EmbedSettings(min_steps=1, pooling="cls")
    )
    assert not any("nothing has trained it" in note for note in again.notes)


def test_an_adapter_is_trained_alone_and_kept(tmp_path: Path) -> None:
    made, _ = trained(tmp_path, "pairs", adapter="lora", min_steps=4)
    again = TASK.open(made.save(tmp_path / "out"))
    np.testing.assert_allclose(again.encoder.encode("a lovely film"), made.encoder.encode("a lovely film"), atol=1e-5)


def test_one_seed_gives_one_model(tmp_path: Path) -> None:
    first, second = (trained(tmp_path, "pairs", min_steps=5)[0] for _ in range(2))
    np.testing.assert_array_equal(first.encoder.encode("a film"), second.encoder.encode("a film"))


def test_a_run_that_was_cut_off_goes_on_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, split = trained(tmp_path, "pairs", min_steps=12)
    settings = settings_of(EmbedSettings, {"min_steps": 12, "learning_rate": 3e-3, "batch_size": 16})
    monkeypatch.setattr("maskfork.learn.train.best.Kept.__init__.__defaults__", (0.0,))

    def stop(share: float, _: str) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TASK.train(tmp_path / "base", split, settings, work=tmp_path / "work", progress=stop)
    on = TASK.train(tmp_path / "base", split, settings, work=tmp_path / "work")
    assert any("went on from step" in note for note in on.notes)
    np.testing.assert_array_equal(on.encoder.encode("a film"), whole.encoder.encode("a film"))


def test_wrong_settings_and_columns_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cosent is not for pairs rows"):
        trained(tmp_path, "pairs", loss="cosent")
    with pytest.raises(UsageError, match="name at most 32"):
        trained(tmp_path, "pairs", dims="999")
    with pytest.raises(DataError, match="give anchor and positive"):
        TASK.read(Sources(table(tmp_path / "odd.csv", ["colour", "size"], [["red", "a b"], ["blue", "c d"]])), EmbedSettings())


@pytest.mark.parametrize("prompt", ["", "the film with a scene : "])
def test_a_long_text_is_the_mean_of_its_windows(prompt: str, tmp_path: Path) -> None:
    """Every window holds the prompt; what stands late counts; search and the folder read alike."""
    base = make("bert").save(tmp_path / "base")
    encoder = base_encoder(base, query_prompt=prompt or None, max_length=24, on_long="chunk")
    late = [" ".join([*["film plot scene"] * 12, word]) for word in ("superb", "hollow")]
    a, b = encoder.encode_query(late)
    assert np.abs(a - b).max() > 1e-4
    windows = encoder.read(late[:1], prompt=prompt)
    held = encoder.prompt_tokens(prompt)
    assert len(windows.encoding.ids) > 1
    assert {tuple(ids[:held]) for ids in windows.encoding.ids} == {tuple(windows.encoding.ids[0][:held])}
    one = [encoder.model.tokenizer.inner.decode(ids[held:], skip_special_tokens=True) for ids in windows.encoding.ids]
    each = encoder.encode_query(one)
    assert np.abs(each.mean(0) - a).max() < 1e-5
    assert "no token is lost" in encoder.notes[-1]
    cut = base_encoder(base, query_prompt=prompt or None, max_length=24)
    assert np.abs(np.subtract(*cut.encode_query(late))).max() < 1e-6
    saved = load_sentence_encoder(TrainedEncoder(encoder).save(tmp_path / "saved"))
    assert saved.on_long == "chunk"
    assert np.abs(saved.encode_query(late) - encoder.encode_query(late)).max() < 1e-6


@pytest.mark.parametrize("on_long", ["head+tail", "chunk"])
def test_long_texts_are_learnt_from(on_long: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [str(w) for w in rng.choice([*GOOD[:2], *BAD[:2]], 80)]
    rows = [[" ".join([*rng.choice(PLAIN, 30).tolist(), w]), w] for w in words]
    file = table(tmp_path / "long.csv", ["text", "label"], rows)
    given = {"on_long": on_long, "max_length": 16, "min_steps": 80, "learning_rate": 3e-3, "batch_size": 16, "precision": "fp32"}
    settings = settings_of(EmbedSettings, given)
    split = TASK.read(Sources(file), settings)
    made = TASK.train(make("bert").save(tmp_path / "base"), split, settings)
    assert isinstance(made, TrainedEncoder)
    before = base_encoder(tmp_path / "base", max_length=16)
    after, at_first = (one.evaluate(split.test).values["ndcg@10"].value for one in (made, TrainedEncoder(before)))
    assert after > at_first + 0.2
    lost = [answer["tokens_lost"] for answer in made.predict([{"text": text} for text, _ in rows[:3]])]
    assert all(n == 0 for n in lost) if on_long == "chunk" else all(n > 10 for n in lost)
