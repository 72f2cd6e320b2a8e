"""Sentence encoders against sentence-transformers: the same vectors, from its folders and from ours."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import maskfork
from maskfork import load_sentence_encoder
from maskfork.errors import ModelError, UsageError
from maskfork.models import packing
from maskfork.models.families import all_families
from maskfork.models.hub import build
from maskfork.models.sentence import SentenceEncoder, pipeline
from maskfork.models.sentence.pooling import MODES, SWITCHES
from tests.learn.tiny import make, tokenizer
from tests.models.sentence.peer import TEXTS, WIDTH, Dense, Dropout, LayerNorm, Normalize, Pooling, encoder, opened


def same(ours: SentenceEncoder, theirs: Any, texts: list[str] = TEXTS, **options: Any) -> None:
    given = {{"normalize": "normalize_embeddings"}.get(k, k): v for k, v in options.items()}
    np.testing.assert_allclose(ours.encode(texts, **options), theirs.encode(texts, **given), atol=1e-5)


def both_ways(theirs: Any, folder: Path, texts: list[str] = TEXTS, **options: Any) -> SentenceEncoder:
    """Their folder read here gives their vectors, and so does ours read there."""
    ours = load_sentence_encoder(folder / "st")
    same(ours, theirs, texts, **options)
    ours.save(folder / "back")
    given = {{"normalize": "normalize_embeddings"}.get(k, k): v for k, v in options.items()}
    np.testing.assert_array_equal(opened(folder / "back").encode(texts, **given), theirs.encode(texts, **given))
    np.testing.assert_array_equal(load_sentence_encoder(folder / "back").encode(texts, **options), ours.encode(texts, **options))
    return ours


@pytest.mark.parametrize("mode", MODES)
def test_every_way_to_pool(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "TOKENS", 100)  # several batches of unlike lengths
    theirs = encoder(tmp_path, Pooling(WIDTH, mode))
    ours = both_ways(theirs, tmp_path)
    assert ours.encode("a film").shape == (WIDTH,)
    said = json.loads((tmp_path / "back/1_Pooling/config.json").read_text("utf-8"))
    assert [switch for switch, on in said.items() if on is True] == [s for s, name in SWITCHES.items() if name == mode]


@pytest.mark.parametrize("modes", [("cls", "mean"), ("mean", "cls", "max"), MODES, ("lasttoken", "weightedmean")])
def test_several_ways_side_by_side(modes: tuple[str, ...], tmp_path: Path) -> None:
    ours = both_ways(encoder(tmp_path, Pooling(WIDTH, modes)), tmp_path)
    assert ours.width == WIDTH * len(modes)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_decoders(family: str, tmp_path: Path) -> None:
    texts = [t for t in TEXTS if t]
    theirs = encoder(tmp_path, Pooling(WIDTH, ("lasttoken", "mean")), family=family)
    theirs.tokenizer.pad_token = theirs.tokenizer.eos_token
    ours = load_sentence_encoder(tmp_path / "st")
    same(ours, theirs, texts)


ENCODERS = [name for name, data in all_families().items() if data.spec({**data.tiny[0], "model_type": name}).fork == "encoder"]


@pytest.mark.parametrize("family", ENCODERS)
def test_every_encoder(family: str, tmp_path: Path) -> None:
    own = tokenizer("bert")
    config = {**all_families()[family].tiny[0], "model_type": family, "vocab_size": own.size, "pad_token_id": own.special("pad")}
    model = build(config, seed=1)
    own.config["model_max_length"] = 40
    model.tokenizer = own
    with torch.no_grad():
        for p in (p for p in model.parameters() if p.dim() > 1):
            p.normal_(0.0, 0.15)
    model.save(tmp_path)
    ours = load_sentence_encoder(tmp_path)
    # where a text's numbers depend in theirs on the width of its batch, one at a time, the longest first
    alone = [[text] for text in sorted(TEXTS, key=len, reverse=True)]
    for theirs in (opened(tmp_path), opened(ours.save(tmp_path / "back"))):
        for texts in alone if "lengths" in all_families()[family].oracle else [TEXTS]:
            same(ours, theirs, texts)


def test_encoder_decoders(tmp_path: Path) -> None:
    """As the peer: all of BART, whose decoder reads the text again, and T5's encoder alone."""
    theirs = encoder(tmp_path / "bart", Pooling(WIDTH), family="bart")
    same(load_sentence_encoder(tmp_path / "bart/st"), theirs)
    theirs = encoder(tmp_path / "t5", Pooling(WIDTH), Dense(WIDTH, 6), family="t5")
    both_ways(theirs, tmp_path / "t5")


@pytest.mark.parametrize(
    "activation", [nn.Tanh(), nn.Identity(), nn.GELU(), nn.ReLU(), nn.SiLU(), nn.Sigmoid()], ids=lambda a: type(a).__name__
)
def test_dense(activation: nn.Module, tmp_path: Path) -> None:
    theirs = encoder(tmp_path, Pooling(WIDTH, ("cls", "mean")), Dense(2 * WIDTH, 7, activation_function=activation))
    assert both_ways(theirs, tmp_path).width == 7


def test_all_stages(tmp_path: Path) -> None:
    stages = [
        Pooling(WIDTH), Dense(WIDTH, WIDTH, bias=False, use_residual=True), Dropout(0.3), LayerNorm(WIDTH),
        Dense(WIDTH, 11, use_residual=True), Normalize(),
    ]  # fmt: skip
    ours = both_ways(encoder(tmp_path, *stages), tmp_path)
    np.testing.assert_allclose(np.linalg.norm(ours.encode(TEXTS), axis=1), 1.0, atol=1e-6)


def test_stages_on_token_vectors(tmp_path: Path) -> None:
    stages = [
        Dense(WIDTH, 9, module_input_name="token_embeddings"), Normalize(module_input_name="token_embeddings"), Pooling(9, "max"),
    ]  # fmt: skip
    both_ways(encoder(tmp_path, *stages), tmp_path)


def test_a_dense_layer_in_an_old_pickle(tmp_path: Path) -> None:
    theirs = encoder(tmp_path, Pooling(WIDTH), Dense(WIDTH, 5))
    theirs.save(str(tmp_path / "st"), safe_serialization=False, create_model_card=False)
    (tmp_path / "st/2_Dense/model.safetensors").unlink()
    assert (tmp_path / "st/2_Dense/pytorch_model.bin").is_file()
    same(load_sentence_encoder(tmp_path / "st"), theirs)


def test_the_old_spelling(tmp_path: Path) -> None:
    """What versions before 6 wrote, with the Transformer in a folder of its own as versions before 1 did."""
    theirs = encoder(tmp_path, Pooling(WIDTH, ("cls", "max")), limit=12)
    st = tmp_path / "st"
    place = st / "0_Transformer"
    place.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (st / name).rename(place / name)
    (st / "sentence_bert_config.json").unlink()
    (place / "sentence_roberta_config.json").write_text('{"max_seq_length": 12, "do_lower_case": false}')
    switches = {switch: name in ("cls", "max") for switch, name in SWITCHES.items()}
    (st / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": WIDTH, **switches}))
    old = "sentence_transformers.models."
    kinds = [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling")]
    listed = [{"idx": i, "name": str(i), "path": path, "type": old + kind} for i, (path, kind) in enumerate(kinds)]
    (st / "modules.json").write_text(json.dumps(listed))
    (st / "config_sentence_transformers.json").write_text('{"__version__": {"sentence_transformers": "2.0.0"}}')
    ours = load_sentence_encoder(st)
    assert ours.max_seq_length == 12
    same(ours, theirs)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("modes", [("mean",), MODES])
def test_prompts(include: bool, modes: tuple[str, ...], tmp_path: Path) -> None:
    prompts = {"query": "a film of: ", "document": "", "long": "the story of the film with music: "}
    theirs = encoder(tmp_path, Pooling(WIDTH, modes, include_prompt=include), prompts=prompts, default_prompt_name="query")
    ours = both_ways(theirs, tmp_path)
    for options in ({}, {"prompt_name": "long"}, {"prompt": "superb "}, {"prompt": ""}):
        same(ours, theirs, **options)
    np.testing.assert_allclose(ours.encode_query(TEXTS), theirs.encode_query(TEXTS), atol=1e-5)
    np.testing.assert_allclose(ours.encode_document(TEXTS), theirs.encode_document(TEXTS), atol=1e-5)
    assert opened(tmp_path / "back").prompts == theirs.prompts == ours.prompts
    assert np.abs(ours.encode(TEXTS[:3]) - ours.encode(TEXTS[:3], prompt="")).max() > 1e-3
    with pytest.raises(UsageError, match="no prompt 'other': this model has"):
        ours.encode(TEXTS, prompt_name="other")
    with pytest.raises(UsageError, match="both given"):
        ours.encode(TEXTS, prompt_name="long", prompt="x")


def test_a_prompt_that_leaves_nothing_to_pool(tmp_path: Path) -> None:
    """Of a text that is cut inside its prompt, [SEP] is left at least; a decoder without special tokens has nothing."""
    theirs, long = encoder(tmp_path, Pooling(WIDTH, include_prompt=False), limit=6), "the story of the film with music: "
    same(load_sentence_encoder(tmp_path / "st"), theirs, prompt=long)
    encoder(tmp_path, Pooling(WIDTH, include_prompt=False), limit=6, family="gpt2")
    ours = load_sentence_encoder(tmp_path / "st")
    with pytest.raises(UsageError, match="prompt takes all the tokens"):
        ours.encode(["x"], prompt=long)


@pytest.mark.parametrize("limit", [5, 12, 64])
def test_the_limit_of_the_folder(limit: int, tmp_path: Path) -> None:
    theirs = encoder(tmp_path, Pooling(WIDTH), limit=limit)
    ours = both_ways(theirs, tmp_path)
    assert ours.max_seq_length == limit
    assert any(f"longer than {limit} tokens" in note for note in ours.notes)
    assert opened(tmp_path / "back").max_seq_length == limit
    (tmp_path / "back/sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 4}))
    same(load_sentence_encoder(tmp_path / "back"), opened(tmp_path / "back"))


def test_lower_case(tmp_path: Path) -> None:
    """A cased tokenizer that the folder's settings tell to lower all the same."""
    theirs = encoder(tmp_path, Pooling(WIDTH), family="gpt2")
    theirs.tokenizer.pad_token = theirs.tokenizer.eos_token
    theirs.save(str(tmp_path / "st"), create_model_card=False)
    (tmp_path / "st/sentence_bert_config.json").write_text('{"max_seq_length": 30, "do_lower_case": true}')
    texts = ["A Film OF Light", "SUPERB", "É"]
    ours, lowered = load_sentence_encoder(tmp_path / "st"), opened(tmp_path / "st")
    same(ours, lowered, texts)
    assert np.abs(ours.encode(texts) - theirs.encode(texts)).max() > 1e-2
    same(load_sentence_encoder(ours.save(tmp_path / "back")), lowered, texts)
    np.testing.assert_array_equal(opened(tmp_path / "back").encode(texts), lowered.encode(texts))


def test_fewer_dimensions_and_unit_length(tmp_path: Path) -> None:
    theirs = encoder(tmp_path, Pooling(WIDTH), truncate_dim=9)
    ours = both_ways(theirs, tmp_path)
    assert ours.truncate_dim == 9
    same(ours, theirs, normalize=True)
    same(ours, theirs, truncate_dim=4, normalize=True)
    with pytest.raises(UsageError, match="at most as many"):
        ours.encode(TEXTS, truncate_dim=WIDTH + 1)


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarity(name: str, tmp_path: Path) -> None:
    theirs = encoder(tmp_path, Pooling(WIDTH), similarity_fn_name=name)
    ours = both_ways(theirs, tmp_path)
    assert opened(tmp_path / "back").similarity_fn_name == name == ours.similarity_fn_name
    a, b = ours.encode(TEXTS[:6]), ours.encode(TEXTS[6:12])
    np.testing.assert_allclose(ours.similarity(a, b), theirs.similarity(a, b).numpy(), atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(ours.similarity_pairwise(a, b), theirs.similarity_pairwise(a, b).numpy(), atol=1e-5, rtol=1e-5)
    assert ours.similarity(a[0], b).shape == (1, 6)


def test_pairs_are_read_as_one(tmp_path: Path) -> None:
    theirs = encoder(tmp_path, Pooling(WIDTH))
    ours = load_sentence_encoder(tmp_path / "st")
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    np.testing.assert_allclose(ours.encode(TEXTS, TEXTS[::-1]), theirs.encode(pairs), atol=1e-5)


def test_a_plain_folder(tmp_path: Path) -> None:
    encoder(tmp_path, Pooling(WIDTH))
    plain = tmp_path / "plain"
    ours = load_sentence_encoder(plain)
    assert any("no modules.json, so the token vectors' mean" in note for note in ours.notes)
    same(ours, opened(plain))
    make("bert", "masked_lm").save(plain)
    same(load_sentence_encoder(plain), opened(plain))


def test_a_plain_decoder_gives_its_last_token(tmp_path: Path) -> None:
    """As the peer has it: by the name ForCausalLM, which GPT-2's class has not."""
    for family, pad, said in (("llama", "</s>", "the last token's vector"), ("gpt2", "<|endoftext|>", "the token vectors' mean")):
        model = make(family, "causal_lm")
        model.tokenizer.config["pad_token"] = pad
        model.save(tmp_path / family)
        ours = load_sentence_encoder(tmp_path / family)
        assert any(said in note for note in ours.notes)
        same(ours, opened(tmp_path / family), [t for t in TEXTS if t])


def test_transformers_finds_every_tensor(tmp_path: Path) -> None:
    """The root of what we save is a whole model: its pooler has come along."""
    import transformers

    make("bert", "pool").save(tmp_path / "in")
    load_sentence_encoder(tmp_path / "in").save(tmp_path / "out")
    _, info = transformers.AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]


def test_nothing_is_an_empty_table(tmp_path: Path) -> None:
    ours = SentenceEncoder(make("bert"))
    assert ours.encode([]).shape == (0, WIDTH)
    assert ours.training is True  # nobody asked for evaluation mode, and encoding leaves the mode as it was
    assert "SentenceEncoder" in maskfork.load_sentence_encoder.__annotations__["return"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs = encoder(tmp_path, Pooling(WIDTH, MODES), Dense(6 * WIDTH, 8))
    ours = load_sentence_encoder(tmp_path / "st", dtype=dtype)
    assert {p.dtype for p in ours.parameters()} == {dtype}
    found = ours.encode(TEXTS)
    assert found.dtype == np.float32
    assert np.abs(found - theirs.encode(TEXTS)).mean() < 0.05


def test_gradients_flow_through_every_way(tmp_path: Path) -> None:
    encoder(tmp_path, Pooling(WIDTH, MODES), Dense(6 * WIDTH, 8))
    ours = load_sentence_encoder(tmp_path / "st")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = ours(maskfork.Batch.packed([[2, 9, 8, 3], [2, 3]]))
    features["sentence_embedding"].sum().backward()
    assert all(p.grad is not None for name, p in ours.named_parameters() if not name.startswith("model.head."))


BROKEN = {
    "a module of its own code": ("modules.json", lambda m: [*m[:1], {**m[1], "type": "mine.Pooling"}], "code of its own"),
    "a module that is not known": (
        "modules.json", lambda m: [*m[:1], {**m[1], "type": "sentence_transformers.models.CNN"}], "is a CNN, which is not known",
    ),
    "no Transformer first": ("modules.json", lambda m: m[1:], "begins with Pooling"),
    "no modules": ("modules.json", lambda m: [], "begins with no module"),
    "a module outside": ("modules.json", lambda m: [*m[:1], {**m[1], "path": "../elsewhere"}], "lies outside"),
    "not a list": ("modules.json", lambda m: {"a": 1}, "not a JSON list"),
    "another way to pool": ("1_Pooling/config.json", lambda c: {**c, "pooling_mode": "median"}, "'median' is not a way to pool"),
    "another old way": (
        "1_Pooling/config.json", lambda c: {"word_embedding_dimension": 32, "pooling_mode_best": True}, "asks for pooling_mode",
    ),
    "another width": ("1_Pooling/config.json", lambda c: {**c, "embedding_dimension": 31}, "takes token_embeddings of 31"),
    "no width": ("1_Pooling/config.json", lambda c: {}, "lacks embedding_dimension"),
    "an activation of its own": (
        "2_Dense/config.json", lambda c: {**c, "activation_function": "os.system"}, "only classes of torch.nn",
    ),
    "an activation that is none": (
        "2_Dense/config.json", lambda c: {**c, "activation_function": "torch.nn.functional"}, "only classes of torch.nn",
    ),
    "another dense layer": ("2_Dense/config.json", lambda c: {**c, "out_features": 6}, "do not fit its config.json"),
    "no bias": ("2_Dense/config.json", lambda c: {**c, "bias": False}, r"do not fit its config.json \(linear.bias\)"),
    "a cross-encoder": ("config_sentence_transformers.json", lambda c: {**c, "model_type": "CrossEncoder"}, "load_cross_encoder"),
    "a sparse encoder": ("config_sentence_transformers.json", lambda c: {**c, "model_type": "SparseEncoder"}, "no single vector"),
    "another similarity": ("config_sentence_transformers.json", lambda c: {**c, "similarity_fn_name": "maxsim"}, "'maxsim'"),
    "a lost prompt": ("config_sentence_transformers.json", lambda c: {**c, "default_prompt_name": "x"}, "default prompt 'x'"),
    "messages": ("sentence_bert_config.json", lambda c: {"modality_config": {"message": {}}}, "reads message and only plain"),
    "a language model's head": ("sentence_bert_config.json", lambda c: {"transformer_task": "fill-mask"}, "for fill-mask"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_known_is_one_sentence(name: str, tmp_path: Path) -> None:
    encoder(tmp_path, Pooling(WIDTH), Dense(WIDTH, 5))
    file, change, why = BROKEN[name]
    path = tmp_path / "st" / file
    path.write_text(json.dumps(change(json.loads(path.read_text("utf-8")))))
    with pytest.raises(ModelError, match=why) as told:
        load_sentence_encoder(tmp_path / "st")
    assert "\n" not in str(told.value)


def test_a_broken_file_is_one_sentence(tmp_path: Path) -> None:
    encoder(tmp_path, Pooling(WIDTH), Dense(WIDTH, 5))
    (tmp_path / "st/2_Dense/model.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(ModelError, match="broken"):
        load_sentence_encoder(tmp_path / "st")
    (tmp_path / "st/modules.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        load_sentence_encoder(tmp_path / "st")


def test_an_encoder_without_pooling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no Pooling"):
        SentenceEncoder(make("bert"), [])
    with pytest.raises(ModelError, match="save its encoder alone, as T5EncoderModel"):
        load_sentence_encoder(make("t5").save(tmp_path))
    assert packing.TOKENS == 2048
