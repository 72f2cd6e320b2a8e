"""Label likelihoods: brute force through transformers, without a cache, is the oracle; what is shared, cut and refused."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from maskfork import Model
from maskfork.errors import DataError, ModelError, TokenizerError, UsageError
from maskfork.models.hub import their_tensors
from maskfork.prompt.score import CONTENT_FREE, PromptedClassifier, load_decoder
from maskfork.prompt.scoring import LabelTrie, reader
from maskfork.prompt.scoring.trie import one_begins_another
from maskfork.prompt.templates import CHAT, PLAIN, Template
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
    """The whole prompt, tokenised as one text."""
    begin = {"llama": ["<s>"], "bart": ["<s>"]}.get(family, [])
    solved = "".join(template.shot((said, other, words[label])) for said, other, label in shots)
    whole = template.opening(words) + solved + template.question(text, pair)
    return [decoder(family).tokenizer.id(t) for t in begin] + decoder(family).tokenizer.encode(whole, special=False)  # type: ignore[misc]


def label_ids(family: str, word: str, words: Any = WORDS) -> list[int]:
    """As the word stands after `Label:` in a solved example; at a text's beginning where the decoder writes alone.

    With the end of the answer where some label's tokens begin another's.
    """
    encode = decoder(family).tokenizer.encode

    def bare(word: str, end: str = "") -> list[int]:
        if family in ("bart", "t5"):
            return encode(word, special=False)
        return encode(f"Label: {word}{end}", special=False)[len(encode("Label:", special=False)) :]

    if not any(bare(a) == bare(b)[: len(bare(a))] for a in words for b in words if a != b):
        return bare(word)
    if family in ("bart", "t5"):
        return [*bare(word), decoder(family).tokenizer.special("eos")]  # type: ignore[list-item]
    return bare(word, "\n\n")[: len(bare(word)) + 1]


def brute(
    family: str, text: str, pair: str | None = None, shots: Any = (), words: Any = WORDS, template: Template = PLAIN
) -> list[float]:
    """log p of each label, one full pass a label."""
    prompt, found = prompt_ids(family, text, pair, shots, words, template), []
    for word in words:
        label = label_ids(family, word, words)
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
    monkeypatch.setattr(reader, "TOKENS", 60)  # several forwards
    monkeypatch.setattr(reader, "SOURCE_TOKENS", 600)
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
    (token, *_) = asked.wording.label_ids(("good", "bad"))[0]
    assert token in solved
    assert decoder("llama").tokenizer.token(token).startswith("▁g")


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_what_prompts_share_is_read_once(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instruction and examples once in all; then a forward has each text's own tokens and each label's inner ones, no padding."""
    asked = PromptedClassifier(decoder(family), WORDS, SHOTS)
    read: list[tuple[int, int]] = []
    plain = Model.forward

    def forward(self: Model, tokens: Any = None, *more: Any, **named: Any) -> Any:
        read.append(tuple(tokens.shape))
        return plain(self, tokens, *more, **named)

    monkeypatch.setattr(Model, "forward", forward)
    texts = ["a film", "the plot", "music"]
    asked.label_logprobs(texts)
    asked.label_logprobs(texts)
    prompts = [prompt_ids(family, text, None, SHOTS, WORDS, PLAIN) for text in texts]
    shared = read[0][1]
    assert all(prompt[:shared] == prompts[0][:shared] for prompt in prompts)
    assert len(prompts[0]) - shared < 15
    inner = {tuple(ids[:n]) for ids in (label_ids(family, w) for w in WORDS) for n in range(1, len(ids))}
    tree = (1, sum(len(prompt) - shared + len(inner) for prompt in prompts))
    assert read == [(1, shared), tree, tree]


def test_a_label_that_begins_another_is_asked_with_its_end() -> None:
    """Else the longer label could never win; labels that exclude each other by themselves need no end."""
    family = "gpt2"
    asked = PromptedClassifier(decoder(family), ("good", "good film"), template=PLAIN)
    plain = PromptedClassifier(decoder(family), ("good", "bad"))
    end = decoder(family).tokenizer.encode("\n\n", special=False)[0]
    assert [ids[-1] for ids in asked.wording.label_ids(asked.label_words)] == [end, end]
    assert end not in [ids[-1] for ids in plain.wording.label_ids(plain.label_words)]
    nothing = make("t5", "causal_lm")
    assert [ids[-1] for ids in PromptedClassifier(nothing, WORDS).wording.label_ids(WORDS)] == [nothing.spec.eos_id] * len(WORDS)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=9))
def test_a_trie_spells_every_label(labels: list[list[int]]) -> None:
    trie = LabelTrie.of(labels)
    path = [[token] for token in trie.tokens]
    for i, parent in enumerate(trie.parents):
        assert parent < i
        path[i] = (path[parent] if parent >= 0 else []) + path[i]
    for label, steps in zip(labels, trie.steps, strict=True):
        assert [token for _, token in steps] == label
        assert [path[at] if at >= 0 else [] for at, _ in steps] == [label[:n] for n in range(len(label))]
    assert len({tuple(p) for p in path}) == len(path)  # nothing is read twice
    assert one_begins_another(labels) == any(
        a == b[: len(a)] for i, a in enumerate(labels) for j, b in enumerate(labels) if i != j
    )


def test_many_labels_of_shared_beginnings() -> None:
    words = tuple(f"the {a} {b} {c}" for a in ("good", "bad") for b in ("film", "plot") for c in ("of music", "of light", "of"))
    asked = PromptedClassifier(decoder("gpt2"), words, template=PLAIN)
    np.testing.assert_allclose(asked.label_logprobs(TEXTS[:3]), [brute("gpt2", t, words=words) for t in TEXTS[:3]], atol=2e-4)


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
    shared = prompt_ids(family, "", None, many[:kept], WORDS, PLAIN)
    assert LONG - len(shared) - max(len(label_ids(family, w)) for w in WORDS) >= min(LONG // 2, 256)
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
    ids = prompt_ids(family, long, None, SHOTS, WORDS, PLAIN)
    room = LONG - max(len(label_ids(family, w)) for w in WORDS)
    assert asked.tokens_lost([long, "a film"]) == [len(ids) - room, 0]
    kept = asked.prompts.cut(ids)
    assert len(kept) == room
    tail = decoder(family).tokenizer.encode("\nLabel:", special=False)
    assert kept == ids[: room - len(tail)] + tail
    assert np.isfinite(asked.label_logprobs([long, "a film"])).all()
    np.testing.assert_allclose(asked.label_logprobs([long, "a film"])[1], brute(family, "a film", shots=SHOTS), atol=2e-4)


def test_a_context_that_the_instruction_fills_is_said() -> None:
    small = make("gpt2", "causal_lm", n_positions=24)
    names = [f"label number {i}" for i in range(30)]
    with pytest.raises(DataError, match=r"the instruction takes \d+ of this decoder's 24 tokens and leaves no room"):
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


def test_orders_are_averaged() -> None:
    asked = PromptedClassifier(decoder("gpt2"), WORDS, SHOTS, orders=4, seed=3)
    assert asked.prompts.orders[0] == [0, 1, 2]
    assert len({tuple(order) for order in asked.prompts.orders}) == 4
    each = np.stack(
        [
            PromptedClassifier(decoder("gpt2"), WORDS, [SHOTS[i] for i in order]).label_logprobs(TEXTS)
            for order in asked.prompts.orders
        ]
    )
    np.testing.assert_allclose(asked.by_order(TEXTS), each, atol=1e-5)
    found = asked.ask(TEXTS)
    np.testing.assert_allclose(found.probs, softmax(each, axis=-1).mean(0), atol=1e-5)
    votes = each.argmax(-1) == softmax(each, axis=-1).mean(0).argmax(-1)
    np.testing.assert_allclose(found.agreement, votes.mean(0))
    assert np.isnan(PromptedClassifier(decoder("gpt2"), WORDS, SHOTS).ask(TEXTS[:1]).agreement).all()
    few = PromptedClassifier(decoder("gpt2"), WORDS, SHOTS[:2], orders=5)
    assert few.notes == ["of 2 examples there are 2 orders, not 5"]


def test_orders_are_calibrated_each() -> None:
    asked = PromptedClassifier(decoder("gpt2"), WORDS, SHOTS, orders=3, calibrate=True)
    each = [
        PromptedClassifier(decoder("gpt2"), WORDS, [SHOTS[i] for i in order], calibrate=True).predict(TEXTS)
        for order in asked.prompts.orders
    ]
    np.testing.assert_allclose(asked.predict(TEXTS), np.mean(each, axis=0), atol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_examples_of_each_texts_own(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [[0, 1], [2], [1, 2, 0], []]
    pool = [*SHOTS]
    texts = TEXTS[:4]
    choose = lambda texts, pairs: own[: len(texts)]  # noqa: E731
    plain = PromptedClassifier(decoder(family), WORDS, pool, choose=choose)
    wanted = [brute(family, text, shots=[pool[i] for i in rows]) for text, rows in zip(texts, own, strict=True)]
    np.testing.assert_allclose(plain.label_logprobs(texts), wanted, atol=2e-4)
    read: list[int] = []
    forward = Model.forward
    monkeypatch.setattr(Model, "forward", lambda self, t=None, *m, **n: read.append(t.shape[1]) or forward(self, t, *m, **n))
    found = PromptedClassifier(decoder(family), WORDS, pool, choose=choose, calibrate=True).predict(texts)
    for text, rows, row in zip(texts, own, found, strict=True):
        one = PromptedClassifier(decoder(family), WORDS, [pool[i] for i in rows], calibrate=True)
        np.testing.assert_allclose(one.predict([text])[0], row, atol=1e-4)


def test_a_chat_template_of_the_models_own() -> None:
    """The instruction is the system's (or the first user's, where the template knows no system), answers are the assistant's."""
    model = make("gpt2", "causal_lm", n_positions=LONG)
    form = "{% for m in messages %}<|endoftext|>{{ m['role'] }}\n{{ m['content'] }}{% endfor %}<|endoftext|>assistant:"
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + form
    said = "Which?\n\nLabels:\n- good: a warm one\n- bad\n\nAnswer with the label and nothing else."
    for source, opened in (
        (form, f"<|endoftext|>system\n{said}<|endoftext|>user\nx"),
        (strict, f"<|endoftext|>user\n{said}\n\nx"),
    ):
        model.tokenizer.config["chat_template"] = source
        asked = PromptedClassifier(
            model, ("good", "bad"), [("x", None, 1)], template=CHAT, what="Which?", descriptions=["a warm one", None]
        )
        whole = f"{opened}<|endoftext|>assistant\nbad<|endoftext|>user\na film<|endoftext|>assistant:"
        assert asked.wording.text(asked.shots, "a film") == whole
        prompt = model.tokenizer.encode(whole, special=False)
        with torch.no_grad():
            logprobs = model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
        for word, found in zip(("good", "bad"), asked.label_logprobs(["a film"])[0], strict=True):
            ids = model.tokenizer.encode(word, special=False)
            if len(ids) == 1:
                assert abs(float(logprobs[ids[0]]) - found) < 1e-4
    del model.tokenizer.config["chat_template"]
    with pytest.raises(TokenizerError, match="has no chat template"):
        PromptedClassifier(model, ("good", "bad"), template=CHAT)
