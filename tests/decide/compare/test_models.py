"""Contenders with models: tiny ones with random weights, through training, prompting, saving and opening again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from maskfork.decide.compare.bases import check_decoder, check_encoder, compute_parameters, short_name
from maskfork.decide.compare.compare import compare
from maskfork.decide.compare.contender import HeldOut
from maskfork.decide.compare.contenders.probe import ProbeContender
from maskfork.decide.compare.contenders.prompted import Decoders, PromptedContender, PromptedPredictor
from maskfork.decide.compare.lineup import Lineup, line_up
from maskfork.decide.compare.settings import CompareSettings
from maskfork.decide.compare.winner import open_predictor
from maskfork.errors import ModelError, TokenizerError, UsageError
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.models.digest import digest
from maskfork.models.hub import build
from maskfork.prompt.tasks import read_task
from tests.decide.compare.fakes import MOODS, dataset, mood_rows

TRAIN, TEST = mood_rows(48, seed=0), mood_rows(60, seed=1)
HELD = HeldOut(TEST.texts)
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *[f"thing{i}" for i in range(40)], *MOODS, *[f"{m}ly" for m in MOODS]]
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def silent(share: float, doing: str) -> None:
    assert 0 <= share <= 1


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    config = {"model_type": "bert", "vocab_size": len(WORDS), "max_position_embeddings": 64, "type_vocab_size": 2, **SMALL}
    build(config).save(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS), "utf-8")
    return folder


@pytest.fixture(scope="session")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-gpt"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: i for i, letter in enumerate(["<|endoftext|>", *letters])}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    config = {"model_type": "gpt2", "vocab_size": 257, "n_positions": 512, "n_embd": 16, "n_layer": 1, "n_head": 2}
    build({**config, "bos_token_id": 0, "eos_token_id": 0}, "causal_lm").save(folder)
    inner.save(str(folder / "tokenizer.json"))
    return folder


def test_every_kind_goes_the_whole_way(bert: Path, gpt: Path, tmp_path: Path) -> None:
    training = FineTuneSettings(epochs=1, min_steps=2, max_epochs=1, learning_rate=1e-3)
    lineup = Lineup(encoders=(str(bert),), decoders=(str(gpt),), training=training, label_words=(("angry", "bad"),))
    out = tmp_path / "out"
    settings = CompareSettings(budgets=(0, None), seeds=1, resamples=200)
    report = compare(dataset(TRAIN, TEST), line_up(lineup, out), settings, out)
    lines = {line["name"]: line for line in report["contenders"]}
    assert set(lines) == {
        "fine-tuned tiny-bert @ 48",
        "probe on tiny-bert @ 48",
        "TF-IDF + logistic regression @ 48",
        "prompted tiny-gpt @ 0",
        "prompted tiny-gpt, calibrated @ 0",
    }
    for line in lines.values():
        assert line["memory_mb"] > 20
        assert line["latency_ms"]["p50"] > 0
        assert np.isfinite(line["nll"])
    decoder_mb = sum(f.stat().st_size for f in gpt.iterdir()) / 1e6
    assert lines["prompted tiny-gpt @ 0"]["disk_mb"] > decoder_mb
    # what was saved answers as what was measured did, whatever its kind
    kinds = set()
    for file in (out / "runs").glob("*.json"):
        folder = out / "models" / file.stem
        if folder.is_dir():
            with np.load(file.with_suffix(".npz")) as run:
                got = open_predictor(folder).predict(TEST.texts)
                np.testing.assert_allclose(got, run["probs"], atol=2e-3)  # bf16 and batches may differ a little
            kinds.add(json.loads((folder / "maskfork.json").read_text())["kind"])
    assert kinds == {"fine-tune", "probe", "tf-idf", "prompt"}
    assert report["crossover_note"]


def test_the_probe_embeds_each_text_once(bert: Path) -> None:
    probe = ProbeContender(str(bert))
    probe.run(TRAIN.take(np.arange(20)), HELD, seed=0, progress=silent)
    embedder = probe._encoder()
    embedded: list[str] = []
    plain = embedder.embed
    embedder.embed = lambda texts, pairs=None: (embedded.extend(texts), plain(texts, pairs))[1]  # type: ignore[method-assign]
    probe.run(TRAIN.take(np.arange(30)), HELD, seed=1, progress=silent)
    assert embedded == list(TRAIN.texts[20:30])


def test_plain_and_calibrated_prompts_share_their_likelihoods(gpt: Path) -> None:
    decoders = Decoders()
    plain, calibrated = (PromptedContender(str(gpt), decoders, calibrate=c) for c in (False, True))
    few = TRAIN.take([0, 1])
    first = plain.run(few, HELD, seed=0, progress=silent)
    assert len(decoders._asked) == 1
    second = calibrated.run(few, HELD, seed=0, progress=silent)
    assert len(decoders._asked) == 1
    assert not np.allclose(first.probs, second.probs)
    for outcome in (first, second):
        assert isinstance(outcome.predictor, PromptedPredictor)
        np.testing.assert_allclose(outcome.predictor.predict(HELD.texts), outcome.probs, atol=1e-4)
    assert plain.run(few, HELD, seed=5, progress=silent).predictor is not first.predictor
    assert len(decoders._asked) == 2  # another order of the examples is another prompt


def test_a_prompted_winner_knows_its_decoder_again(gpt: Path, tmp_path: Path) -> None:
    moved = tmp_path / "gpt"
    shutil.copytree(gpt, moved)
    made = PromptedContender(str(moved), Decoders(), calibrate=False)
    folder = tmp_path / "winner"
    folder.mkdir()
    made.run(TRAIN.take([0, 1]), HELD, seed=0, progress=silent).predictor.save(folder)
    config = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps({**config, "activation_function": "relu"}))
    with pytest.raises(ModelError, match="is not the one that"):
        open_predictor(folder)


def test_a_described_task_is_how_the_decoder_is_asked(gpt: Path, tmp_path: Path) -> None:
    """Words, descriptions, template, choice and orders of examples; the winner keeps them all."""
    names = TRAIN.label_names
    labels = [{"name": name, "words": name[:3], "description": f"as {name}"} for name in reversed(names)]
    said = {
        "what": "Which mood?", "labels": labels,
        "ask": {"select": "balanced", "shots": 2, "orders": 2, "template": {"block": "<{text}>", "block_pair": "{text}{pair}"}},
    }  # fmt: skip
    task = read_task(said)
    made = PromptedContender(str(gpt), Decoders(), calibrate=True, max_shots=4, task=task)
    assert made.why_not(500, TRAIN) is None  # it chooses among as many as there are
    made.check(TRAIN)
    plain = PromptedContender(str(gpt), Decoders(), calibrate=True, max_shots=4)
    assert made.identity() != plain.identity()
    outcome = made.run(TRAIN, HELD, seed=3, progress=silent)
    asked = outcome.predictor.model
    assert asked.label_names == names
    assert asked.label_words == tuple(name[:3] for name in names)
    assert (len(asked.shots), len(asked.prompts.orders)) == (2, 2)
    text = asked.wording.text(asked.shots, "x")
    assert text.startswith(f"Which mood?\nAnswer with {', '.join(n[:3] for n in names[:-1])} or {names[-1][:3]}.\n\n<")
    assert text.endswith("<x>Label:")
    outcome.predictor.save(tmp_path)
    np.testing.assert_allclose(open_predictor(tmp_path).predict(HELD.texts), outcome.probs, atol=1e-4)
    other = {"labels": ["a", "b"]}, "the task has the labels a, b and the data has"
    for changed, match in (other, ({"ask": {"samples": 2}}, "leave output")):
        with pytest.raises(UsageError, match=match):
            PromptedContender(str(gpt), Decoders(), calibrate=True, task=read_task({**said, **changed})).check(TRAIN)


def test_models_that_cannot_be_used_are_one_sentence(bert: Path, gpt: Path, tmp_path: Path) -> None:
    check_encoder(str(bert))
    check_decoder(str(gpt))
    with pytest.raises(UsageError, match="cannot be prompted to answer; give it to --encoder"):
        check_decoder(str(bert))
    bare, other = tmp_path / "bare", tmp_path / "other"
    shutil.copytree(bert, bare)
    (bare / "vocab.txt").unlink()
    with pytest.raises(TokenizerError, match="has no tokenizer"):
        check_encoder(str(bare))
    shutil.copytree(bare, other)
    shutil.copy(gpt / "tokenizer.json", other)
    with pytest.raises(TokenizerError, match="another model's tokenizer"):
        check_encoder(str(other))
    with pytest.raises(ModelError, match="there is no folder"):
        check_encoder(str(tmp_path / "gone"))


def test_digest_names_and_size_follow_content(bert: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bert, copy)
    assert digest(copy) == digest(bert)
    (copy / "README.md").write_text("words change no answer")
    assert digest(copy) == digest(bert)
    raw = bytearray((copy / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (copy / "model.safetensors").write_bytes(raw)
    assert digest(copy) != digest(bert)
    assert compute_parameters(bert) >= 1e5
    assert short_name(str(bert)) == "tiny-bert"
    assert short_name("google-bert/bert-base-uncased") == "bert-base-uncased"
