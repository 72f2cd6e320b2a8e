"""What comes out: distributions, seeds, stop strings, log probabilities, limits, and the answers to wrong questions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from maskfork import Model, generate
from maskfork.errors import MaskforkError, ModelError, UsageError
from maskfork.models.hub import build, load
from maskfork.prompt.generate import settings_of

GPT = {"model_type": "gpt2", "vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
GPT |= {"bos_token_id": 0, "eos_token_id": 1}
T5 = {"model_type": "t5", "vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}


def made(config: dict[str, Any], seed: int = 0) -> Model:
    model = build(config, "causal_lm", seed=seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.mul_(12.0 if config is GPT else 2.0)
    return model


@pytest.fixture(scope="module")
def gpt() -> Model:
    return made(GPT)


def expected(model: Model, prompt: list[int], **asked: Any) -> Tensor:
    """Probabilities of two tokens [V, V] that follow, each from a full forward pass, filtered as asked."""
    filters = torch.nn.functional.softmax

    def after(ids: Tensor) -> Tensor:
        logits = model(ids).logits
        assert logits is not None
        scores = logits[:, -1] / asked.get("temperature", 1.0)
        if k := asked.get("top_k"):
            scores = scores.masked_fill(scores < scores.topk(k).values[:, -1:], float("-inf"))
        return filters(scores, -1)

    with torch.inference_mode():
        first = after(torch.tensor([prompt]))[0]
        vocab = len(first)
        second = after(torch.cat([torch.tensor([prompt]).expand(vocab, -1), torch.arange(vocab)[:, None]], dim=1))
    return first[:, None] * second


@pytest.mark.parametrize("asked", [{"temperature": 2.0, "top_k": 4}, {"temperature": 3.0, "top_k": 6}])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pairs_of_tokens_come_as_often_as_they_should(gpt: Model, asked: dict[str, Any], seed: int) -> None:
    prompt, count = [5, 9, 3], 4000
    want = expected(gpt, prompt, **asked)
    want[1] = 0.0  # the end: nothing follows
    got = gpt.generate(
        torch.tensor([prompt]),
        max_new_tokens=2,
        do_sample=True,
        num_return_sequences=count,
        seed=seed,
        **asked,
    )
    pairs = got[:, 3:]
    pairs = pairs[pairs[:, 0] != 1]
    seen = np.bincount((pairs[:, 0] * 40 + pairs[:, 1]).numpy(), minlength=1600)
    chances = (want / want.sum()).flatten().double().numpy()
    assert seen[chances == 0].sum() == 0
    common = chances * len(pairs) >= 5
    observed, due = [*seen[common], seen[~common].sum()], [*chances[common], chances[~common].sum()]
    observed, due = observed[: 1 + int(common.sum())], due[: 1 + int(common.sum())]
    if due[-1] == 0:
        observed, due = observed[:-1], due[:-1]
    assert chisquare(observed, np.array(due) / np.sum(due) * np.sum(observed)).pvalue > 0.001


def test_seeds(gpt: Model) -> None:
    ids = torch.tensor([[5, 9, 3], [4, 4, 8]])

    def drawn(rows: Tensor, seed: int | None) -> Tensor:
        return gpt.generate(rows, max_new_tokens=10, do_sample=True, temperature=3.0, seed=seed)

    assert torch.equal(drawn(ids, 3), drawn(ids, 3))
    assert not torch.equal(drawn(ids, 3), drawn(ids, 4))
    torch.manual_seed(3)
    assert torch.equal(drawn(ids, 3), drawn(ids, None))


def test_log_probabilities_are_those_of_one_pass(gpt: Model) -> None:
    ids, mask = torch.tensor([[0, 0, 5, 9], [7, 8, 2, 3]]), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    told = generate(gpt, ids, mask, max_new_tokens=6, logprobs=3, do_sample=True, temperature=2.0, repetition_penalty=1.5, seed=1)
    assert told.logprobs is not None
    assert told.alternatives is not None
    for row, start in ((0, 2), (1, 0)):
        whole = told.ids[row : row + 1, start:]
        logits = gpt(whole).logits
        assert logits is not None
        logp = logits[0].log_softmax(-1)
        first = 3 - start
        want = [float(logp[first + i, t]) for i, t in enumerate(told.new[row])]
        assert np.allclose(told.logprobs[row], want, atol=1e-4)
        assert [t for t, _ in told.alternatives[row][0]] == logp[first].topk(3).indices.tolist()


def test_tokens_come_as_they_are_written(gpt: Model) -> None:
    ids = torch.tensor([[5, 9, 3], [4, 4, 8], [2, 2, 2]])
    heard: list[list[int]] = [[], [], []]

    def hear(tokens: list[tuple[int, int]]) -> None:
        for row, token in tokens:
            heard[row].append(token)

    told = generate(gpt, ids, max_new_tokens=12, eos_token_id=[1, 3, 7, 11, 30], on_tokens=hear)
    assert heard == told.new
    assert {"end", "length"} >= set(told.reasons)


@torch.inference_mode()
def test_contrastive_search_takes_the_best_of_its_rule(gpt: Model) -> None:
    """Every step worked out from full passes, for a padded batch."""
    ids, mask = torch.tensor([[0, 0, 5, 9], [7, 8, 2, 3]]), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    alpha, k = 0.6, 5
    told = generate(gpt, ids, mask, max_new_tokens=6, penalty_alpha=alpha, top_k=k, eos_token_id=39)
    for row, start in ((0, 2), (1, 0)):
        text = ids[row, start:].tolist()
        for token in told.new[row]:
            out = gpt(torch.tensor([text]))
            assert out.logits is not None
            past = out.last_hidden_state[0]
            top = out.logits[0, -1].softmax(-1).topk(k)
            scores = []
            for p, v in zip(top.values, top.indices.tolist(), strict=True):
                hidden = gpt(torch.tensor([[*text, v]])).last_hidden_state[0, -1]
                scores.append((1 - alpha) * float(p) - alpha * float(torch.cosine_similarity(hidden[None], past).max()))
            assert token == int(top.indices[int(np.argmax(scores))])
            text.append(token)


def test_groups_of_beams(gpt: Model) -> None:
    ids = torch.tensor([[5, 9, 3], [4, 4, 8]])
    asked = dict(max_new_tokens=8, num_return_sequences=4, num_beams=4)
    alike = gpt.generate(ids, num_beam_groups=4, diversity_penalty=1e-6, **asked)
    greedy = gpt.generate(ids, max_new_tokens=8)
    assert torch.equal(alike[::4], greedy)  # groups of one line with next to no penalty are greedy lines
    apart = gpt.generate(ids, num_beam_groups=4, diversity_penalty=1e6, **asked)
    for text in apart.view(2, 4, -1)[:, :, 3:].unbind():
        assert all(len(set(place.tolist())) == 4 for place in text.T if 1 not in place)  # no two write the same token at once


def test_the_model_is_left_as_it_was(gpt: Model) -> None:
    gpt.train()
    first = gpt.generate(torch.tensor([[5, 9, 3]]), max_new_tokens=8)
    assert gpt.training
    assert torch.equal(first, gpt.eval().generate(torch.tensor([[5, 9, 3]]), max_new_tokens=8))


def test_positions_end(gpt: Model) -> None:
    told = generate(gpt, torch.tensor([[5] * 30]), max_new_tokens=50, eos_token_id=39)
    assert told.ids.shape == (1, 32)
    assert told.reasons == ["positions"]
    assert told.notes == ["this model has positions for 32 tokens: at most 2 are written, not 50"]
    with pytest.raises(UsageError, match="positions for 32"):
        gpt.generate(torch.tensor([[5] * 32]))


def test_from_nothing_and_by_settings_of_the_folder(gpt: Model, tmp_path: Any) -> None:
    assert gpt.generate()[0, 0] == 0
    gpt.generation_config = {"max_new_tokens": 3, "repetition_penalty": 1.1, "guidance_scale": 2.0}
    try:
        again = load(gpt.save(tmp_path))
        assert again.generation_config == gpt.generation_config
        told = generate(again, torch.tensor([[5]]), eos_token_id=39)
        assert told.ids.shape == (1, 4)
        assert "guidance_scale" in told.notes[0]
        assert settings_of(again, max_new_tokens=7)[0].max_new_tokens == 7
    finally:
        gpt.generation_config = {}


def test_an_encoder_decoder_begins_where_it_is_told() -> None:
    model = made(T5)
    ids = torch.tensor([[5, 9, 3, 1], [4, 8, 1, 0]])
    free = model.generate(ids, max_new_tokens=5, eos_token_id=39)
    begun = model.generate(ids, decoder_input_ids=free[:, 1:3], max_new_tokens=3, eos_token_id=39)
    assert torch.equal(free, begun)
    assert torch.equal(free[1:], model.generate(ids[1:, :3], max_new_tokens=5, eos_token_id=39))  # the padding is not read
    forced = model.generate(ids, max_new_tokens=4, forced_bos_token_id=17, forced_eos_token_id=1)
    assert forced[:, 1].tolist() == [17, 17]
    assert forced[0, -1] == 1


BERT = {"model_type": "bert", "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
BERT |= {"intermediate_size": 16}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (dict(num_beans=2), "did you mean 'num_beams'"),
        (dict(temperature=0.0, do_sample=True), "temperature is 0.0"),
        (dict(top_p=1.5), "top_p is 1.5 and is a share"),
        (dict(num_return_sequences=2), "set do_sample"),
        (dict(num_beams=4, num_beam_groups=3), "equal groups"),
        (dict(max_new_tokens="many"), "max_new_tokens"),
        (dict(stop_strings="stop"), "no tokenizer"),
        (dict(max_length=2), "max_length is 2"),
        (dict(penalty_alpha=0.5, do_sample=True), "contrastive search"),
        (dict(attention_mask=torch.tensor([[1, 1, 0]])), "pad prompts on the left"),
        (dict(attention_mask=torch.tensor([[1, 1]])), "the shape of input_ids"),
    ],
)
def test_wrong_questions(gpt: Model, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(MaskforkError, match=words):
        gpt.generate(torch.tensor([[5, 9, 3]]), **asked)


def test_an_encoder_cannot_go_on() -> None:
    with pytest.raises(UsageError, match=r"no causal mask, so it cannot continue text: use a decoder .* `maskfork fill-mask`"):
        build(BERT, "masked_lm").generate(torch.tensor([[5, 9]]))
    with pytest.raises(ModelError, match="head='causal_lm'"):
        build(GPT).generate(torch.tensor([[5, 9]]))
