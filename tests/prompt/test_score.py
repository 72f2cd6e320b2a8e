"""Label likelihoods: brute force through transformers, without a cache, is the oracle; what is shared, cut and refused."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from scipy.special import softmax

from maskfork import Model
from maskfork.errors import DataError, ModelError, TokenizerError, UsageError
from maskfork.models.hub import their_tensors
from maskfork.prompt import score
from maskfork.prompt.score import CONTENT_FREE, PromptedClassifier, load_decoder
from maskfork.prompt.templates import PLAIN, Template
from tests.learn.tiny import make, sentences
from tests.prompt.teachers.stories import make_hf, stories_folder

DECODERS = ("gpt2", "llama", "bart", "t5")
WORDS = ("good", "bad", "rather unmemorable", "good film")  # one token and several, one the beginning of another
SHOTS = (("a lovely scene", None, 0), ("the stale plot of the actor", None, 1), ("light", None, 2))
TEXTS = [*sentences(11, 3)[0], "", "a"]
LONG = 400


@cache
def decoder(family: str, seed: int = 0) -> Model:
    room = {"t5": {}, "gpt2": {"n_positions": LONG}}.get(family, {"max_position_embeddings": LONG})
    return make(family, "causal_lm", seed=seed, **room)


@cache
def theirs(family: str) -> Any:
    """The same weights in transformers."""
    ours = decoder(family)
    config = transformers.AutoConfig.for_model(**{**ours.config, "tie_word_embeddings": ours.spec.head.tied})  # type: ignore[union-attr]
    kind = transformers.AutoModelForCausalLM if ours.spec.fork == "decoder" else transformers.AutoModelForSeq2SeqLM
    model = kind.from_config(config, attn_implementation="eager")
    missing = model.load_state_dict(their_tensors(ours), strict=False).missing_keys
    assert all("embed_tokens" in name or name == "lm_head.weight" for name in missing)
    return model.eval()


def prompt_ids(family: str, text: str, pair: str | None, shots: Any, words: Any, template: Template) -> list[int]:
    def ids(part: str) -> list[int]:
        return decoder(family).tokenizer.encode(part, special=False)

    begin = {"llama": ["<s>"], "bart": ["<s>"]}.get(family, [])
    prompt = [decoder(family).tokenizer.id(t) for t in begin] + ids(template.opening(words))
    for said, other, label in shots:
        prompt += ids(template.shot((said, other, words[label])))
    return prompt + ids(template.question(text, pair))  # type: ignore[operator]


def label_ids(family: str, word: str) -> list[int]:
    """As the word stands after `Label:` in a solved example; at a text's beginning where the decoder writes alone."""
    encode = decoder(family).tokenizer.encode
    if family in ("bart", "t5"):
        return encode(word, special=False)
    return encode(f"Label: {word}", special=False)[len(encode("Label:", special=False)) :]


def brute(
    family: str, text: str, pair: str | None = None, shots: Any = (), words: Any = WORDS, template: Template = PLAIN
) -> list[float]:
    """log p of each label, one full pass a label."""
    prompt, found = prompt_ids(family, text, pair, shots, words, template), []
    for word in words:
        label = label_ids(family, word)
        with torch.no_grad():
            if family in ("bart", "t5"):
                start = [2, 0] if family == "bart" else [0]  # </s> <s>, as BART is trained; <pad>
                end = [decoder(family).tokenizer.special("eos")]
                logits = theirs(family)(
                    input_ids=torch.tensor([prompt + end]), decoder_input_ids=torch.tensor([start + label])
                ).logits[0, len(start) - 1 : -1]
            else:
                logits = theirs(family)(torch.tensor([prompt + label])).logits[0, len(prompt) - 1 : -1]
        found.append(float(logits.log_softmax(-1).gather(-1, torch.tensor(label)[:, None]).sum()))
    return found


@pytest.mark.parametrize("shots", [(), SHOTS], ids=["zero-shot", "few-shot"])
@pytest.mark.parametrize("family", DECODERS)
def test_likelihoods_are_brute_force(family: str, shots: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = PromptedClassifier(decoder(family), WORDS, shots)
    lengths = {len(label_ids(family, w)) for w in WORDS}
    assert len(lengths) > 1
    monkeypatch.setattr(score, "TOKENS", 600)  # several batches of unlike lengths
    wanted = np.array([brute(family, text, shots=shots) for text in TEXTS])
    found = asked.label_logprobs(TEXTS)
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert found.dtype == np.float64
    assert np.ptp(found, axis=0).min() > 1e-3  # texts do not answer alike
    np.testing.assert_allclose(asked.label_logprobs([TEXTS[4]])[0], wanted[4], atol=2e-4)
    odds = np.exp(wanted)
    np.testing.assert_allclose(asked.predict(TEXTS), odds / odds.sum(-1, keepdims=True), atol=1e-4)
    np.testing.assert_allclose(asked.predict_one(TEXTS[1]), odds[1] / odds[1].sum(), atol=1e-4)


@pytest.mark.parametrize("family", DECODERS)
def test_pairs(family: str) -> None:
    shots = (("a scene", "the plot", 1),)
    asked = PromptedClassifier(decoder(family), WORDS, shots)
    texts, pairs = TEXTS[:4], TEXTS[4:8]
    wanted = [brute(family, t, p, shots) for t, p in zip(texts, pairs, strict=True)]
    np.testing.assert_allclose(asked.label_logprobs(texts, pairs), wanted, atol=2e-4)


def test_a_prompt_without_a_shared_part() -> None:
    own = Template(instruction="")
    asked = PromptedClassifier(decoder("gpt2"), WORDS, template=own)
    np.testing.assert_allclose(asked.label_logprobs(TEXTS[:5]), [brute("gpt2", t, template=own) for t in TEXTS[:5]], atol=2e-4)


def test_no_texts_no_answers() -> None:
    assert PromptedClassifier(decoder("gpt2"), WORDS).predict([]).shape == (0, 4)


def test_label_words_stand_for_labels() -> None:
    asked = PromptedClassifier(decoder("gpt2"), ("a1", "b2"), SHOTS[:2], label_words=("good", "bad"))
    assert asked.label_names == ("a1", "b2")
    np.testing.assert_allclose(
        asked.label_logprobs(TEXTS[:3]), [brute("gpt2", t, shots=SHOTS[:2], words=("good", "bad")) for t in TEXTS[:3]], atol=2e-4
    )


def test_a_spaces_own_token_is_not_doubled() -> None:
    """A tokenizer that puts a space before whatever it is given (Llama's) scores the word as the examples have it."""
    asked = PromptedClassifier(decoder("llama"), ("good", "bad"))
    solved = decoder("llama").tokenizer.encode(PLAIN.shot(("x", None, "good")), special=False)
    (token, *_) = asked._tokens[0]
    assert token in solved
    assert decoder("llama").tokenizer.token(token).startswith("▁g")


@pytest.mark.parametrize(("family", "shots"), [("gpt2", SHOTS), ("llama", SHOTS)])
def test_the_shared_part_is_read_once(family: str, shots: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instruction and examples once in all; a text's tokens once; a label's further tokens once a text."""
    asked = PromptedClassifier(decoder(family), WORDS, shots)
    read: list[tuple[int, int]] = []
    plain = Model.forward

    def forward(self: Model, tokens: Any = None, *more: Any, **named: Any) -> Any:
        read.append(tuple(tokens.shape))
        return plain(self, tokens, *more, **named)

    monkeypatch.setattr(Model, "forward", forward)
    texts = ["a film", "a plot"] * 3
    asked.label_logprobs(texts)
    asked.label_logprobs(texts)
    prefix = prompt_ids(family, "", None, shots, WORDS, PLAIN)
    prefix = prefix[: len(prefix) - len(decoder(family).tokenizer.encode(PLAIN.question(""), special=False))]
    width = max(len(decoder(family).tokenizer.encode(PLAIN.question(t), special=False)) for t in texts)
    further = [(6, len(label_ids(family, w)) - 1) for w in WORDS if len(label_ids(family, w)) > 1]
    assert read == [(1, len(prefix)), (6, width), *further, (6, width), *further]


def test_the_shared_cache_is_not_written_on() -> None:
    asked = PromptedClassifier(decoder("llama"), WORDS, SHOTS)
    first = asked.label_logprobs(TEXTS)
    np.testing.assert_array_equal(asked.label_logprobs(TEXTS), first)
    np.testing.assert_allclose(asked.label_logprobs(TEXTS[::-1])[::-1], first, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_calibration_is_the_formula(family: str) -> None:
    """Zhao et al. 2021, with W = diag(p_cf)^-1 and b = 0; p_cf is the mean over the content-free inputs."""
    plain, calibrated = (PromptedClassifier(decoder(family), WORDS, SHOTS, calibrate=c) for c in (False, True))
    likelihoods = plain.label_logprobs(TEXTS)
    prior = softmax(plain.label_logprobs(CONTENT_FREE), axis=-1).mean(0)
    np.testing.assert_allclose(calibrated.prior(), prior, rtol=1e-6)
    assert prior.min() < 1e-6  # a label of several tokens, which must have its chance too
    scaled = softmax(likelihoods, axis=-1) / prior
    np.testing.assert_allclose(calibrated.predict(TEXTS), scaled / scaled.sum(-1, keepdims=True), atol=1e-4)
    np.testing.assert_allclose(plain.probabilities(likelihoods, calibrate=True), calibrated.predict(TEXTS), atol=1e-5)


def test_calibration_of_pairs_asks_with_empty_pairs() -> None:
    """What has no content is put as the texts are put: two texts where they are two."""
    asked = PromptedClassifier(decoder("gpt2"), WORDS, calibrate=True)
    alone = asked.prior()
    plain = PromptedClassifier(decoder("gpt2"), WORDS)
    asked.predict(TEXTS[:2], TEXTS[2:4])
    np.testing.assert_allclose(asked.prior(), plain.predict(CONTENT_FREE, CONTENT_FREE).mean(0), atol=1e-5)
    assert np.abs(asked.prior() - alone).max() > 1e-4
    asked.predict(TEXTS[:2])
    np.testing.assert_allclose(asked.prior(), alone, atol=1e-6)
    paired = PromptedClassifier(decoder("gpt2"), WORDS, [("a", "b", 0)], calibrate=True)
    known = paired.prior()
    paired.predict(TEXTS[:2], TEXTS[2:4])
    np.testing.assert_allclose(paired.prior(), known, atol=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "llama", "bart"])
def test_examples_that_do_not_fit_are_dropped_and_said(family: str) -> None:
    many = [(text, None, int(label)) for text, label in zip(*sentences(80, 8), strict=True)]
    asked = PromptedClassifier(decoder(family), WORDS, many)
    kept = len(asked.shots)
    assert 3 < kept < 80
    assert asked.notes == [f"{kept} of 80 examples fit into the context of {LONG} tokens"]
    assert asked.shots == [(t, p, WORDS[label]) for t, p, label in many[:kept]]
    assert LONG - len(asked._prefix) >= min(LONG // 2, 256)
    np.testing.assert_allclose(
        asked.label_logprobs(TEXTS[:2]), [brute(family, t, shots=many[:kept]) for t in TEXTS[:2]], atol=2e-4
    )


def test_without_a_limit_all_examples_stay() -> None:
    many = [(text, None, int(label)) for text, label in zip(*sentences(80, 8), strict=True)]
    asked = PromptedClassifier(decoder("t5"), WORDS, many)
    assert (len(asked.shots), asked.notes) == (80, [])
    assert asked.tokens_lost(["film " * 5000]) == [0]


@pytest.mark.parametrize("family", ["gpt2", "llama", "bart"])
def test_too_long_texts_lose_their_ends_and_it_is_counted(family: str) -> None:
    asked = PromptedClassifier(decoder(family), WORDS, SHOTS)
    long = "film story " * 600
    ids = decoder(family).tokenizer.encode(PLAIN.question(long), special=False)
    room = LONG - len(asked._prefix) - max(len(label_ids(family, w)) for w in WORDS)
    assert asked.tokens_lost([long, "a film"]) == [len(ids) - room, 0]
    kept = asked._question_ids(long, None)
    assert len(kept) == room
    tail = decoder(family).tokenizer.encode("\nLabel:", special=False)
    assert kept == ids[: room - len(tail)] + tail
    assert np.isfinite(asked.label_logprobs([long, "a film"])).all()
    np.testing.assert_allclose(asked.label_logprobs([long, "a film"])[1], brute(family, "a film", shots=SHOTS), atol=2e-4)


def test_a_context_that_the_instruction_fills_is_said() -> None:
    small = make("gpt2", "causal_lm", n_positions=24)
    names = [f"label number {i}" for i in range(30)]
    with pytest.raises(DataError, match=r"the instruction with its 30 labels takes \d+ of this decoder's 24 tokens"):
        PromptedClassifier(small, names).predict(["a film"])


def test_wrong_questions() -> None:
    with pytest.raises(UsageError, match="bert is an encoder: every token sees what follows"):
        PromptedClassifier(make("bert"), ("a", "b"))
    with pytest.raises(UsageError, match="2 labels need as many label words, but 3 were given"):
        PromptedClassifier(decoder("gpt2"), ("a", "b"), label_words=("x", "y", "z"))
    with pytest.raises(DataError, match="the same tokens"):
        PromptedClassifier(decoder("gpt2"), ("a", "b"), label_words=("good", "good"))
    with pytest.raises(DataError, match="the same tokens"):  # both are unknown to this one
        PromptedClassifier(decoder("t5"), ("ж", "щ"))
    with pytest.raises(DataError, match="is no token for this decoder"):
        PromptedClassifier(decoder("t5"), ("good", ""))
    without = make("gpt2", "causal_lm")
    without.tokenizer = None
    with pytest.raises(TokenizerError, match="no tokenizer"):
        PromptedClassifier(without, ("a", "b"))
    with pytest.raises(ModelError, match="causal_lm"):
        PromptedClassifier(make("gpt2"), ("a", "b"))


def test_decoders_from_folders(tmp_path: Path) -> None:
    decoder("gpt2").save(tmp_path / "whole")
    make("bert").save(tmp_path / "encoder")
    make("gpt2", "classify").save(tmp_path / "tied")
    make("llama", "classify").save(tmp_path / "headless")
    wanted = PromptedClassifier(decoder("gpt2"), WORDS).label_logprobs(TEXTS)
    np.testing.assert_allclose(PromptedClassifier(tmp_path / "whole", WORDS).label_logprobs(TEXTS), wanted, atol=1e-6)
    with pytest.raises(UsageError, match="is an encoder"):
        load_decoder(tmp_path / "encoder")
    assert load_decoder(tmp_path / "tied").spec.head.kind == "causal_lm"  # type: ignore[union-attr]
    with pytest.raises(ModelError, match="no language-model head"):
        load_decoder(tmp_path / "headless")


def test_stories_are_read_by_a_real_decoder(tmp_path: Path) -> None:
    """stories260K (real Llama weights, sentencepiece vocabulary): the word that the story asks for is likelier."""
    source = stories_folder()
    if source is None:
        pytest.skip("stories260K is not in the data folder")
    folder = make_hf(source, tmp_path / "stories")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    own = Template(instruction="", block="{text}", answer=" She was very", end=".")
    texts = ["Lily got a new toy and she smiled and laughed.", "Lily lost her toy and she cried and cried."]
    asked = PromptedClassifier(folder, ("happy", "sad"), template=own)
    margin = asked.label_logprobs(texts) @ np.array([1.0, -1.0])
    assert margin[0] > margin[1] + 0.5
    assert margin[0] > 0
    # far above chance (1/512 a token): the words are put as the model knows them
    assert asked.label_logprobs(texts)[0, 0] > -6.0
