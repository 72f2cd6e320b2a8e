"""Folders as they lie on the Hub, with the oddities of their years: names, vocabularies, silent configs, pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskfork import load
from maskfork.core.positions.rotary import RotaryPositions
from maskfork.errors import ModelError
from maskfork.models.families import all_families
from maskfork.models.tokenizers import Tokenizer
from maskfork.models.tokenizers.read import load_tokenizer
from tests.models.theirs import Case, saved

NEAR = dict(atol=1e-5, rtol=1e-5)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CASED_WORDS = "The the gene ##s BRCA ##1 é Zürich 東 京 при ##вет B R C A ##R ##C ##A d ##e ##r . , - ( ) مرحبا"
LOWER_WORDS = "the gene ##s brca ##1 zurich e 東 京 b . ,"
CASED, LOWER = ([*SPECIAL, *words.split()] for words in (CASED_WORDS, LOWER_WORDS))
TEXTS = ("The genes, BRCA1.", "Zürich (東京) привет", "der é مرحبا -", "")


def rewrite(folder: Path, **changes: Any) -> None:
    """config.json with these keys; those that are None are taken out."""
    file = folder / "config.json"
    config = {**json.loads(file.read_text("utf-8")), **changes}
    file.write_text(json.dumps({name: value for name, value in config.items() if value is not None}), "utf-8")


def renamed(folder: Path, old: str, new: str) -> dict[str, Tensor]:
    tensors = load_file(folder / "model.safetensors")
    return {name.replace(old, new, 1) if name.startswith(old) else name: tensor for name, tensor in tensors.items()}


def write(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def bert_folder(folder: Path, words: list[str], lower: bool, architecture: str = "BertForPreTraining") -> Any:
    """A tiny BERT as such folders are: a pickle with gamma and beta and a stored buffer, vocab.txt, no tokenizer.json."""
    config = transformers.BertConfig(**{**Case("bert", 0, None).config, "vocab_size": len(words)})
    torch.manual_seed(0)
    model = getattr(transformers, architecture)(config).eval()
    model.save_pretrained(folder)
    tensors = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        for new, old in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
            name = name.replace(new, old)
        tensors[name] = tensor
    tensors["bert.embeddings.position_ids"] = torch.arange(64)[None]
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower, "model_max_length": 64}), "utf-8")
    return model


@torch.no_grad()
@pytest.mark.parametrize(("words", "lower"), [(CASED, False), (LOWER, True)], ids=["cased, multilingual", "uncased"])
def test_old_bert(words: list[str], lower: bool, tmp_path: Path) -> None:
    """BioBERT, mBERT (cased) and SciBERT, FinBERT (uncased): weights, tokens and the masked-word head are theirs."""
    theirs = bert_folder(tmp_path / "old", words, lower)
    tokenize = transformers.BertTokenizer(str(tmp_path / "old/vocab.txt"), do_lower_case=lower)
    rewrite(tmp_path / "old", architectures=["BertForMaskedLM"])  # mBERT says so and has the pair's tensors too
    ours = load(tmp_path / "old")
    assert ours.spec.head is not None
    assert ours.spec.head.kind == "masked_lm"
    assert ours.notes == ["left behind 4 tensors of another head (bert.pooler.dense.bias ...)"]
    for text in TEXTS:
        ids = ours.tokenizer.encode(text)
        assert ids == tokenize(text)["input_ids"]
        want = theirs(torch.tensor([ids])).prediction_logits
        torch.testing.assert_close(ours(torch.tensor([ids])).logits, want, **NEAR)
    pair = ours.tokenizer.encode_many(["The gene"], ["B"])[0]
    told = tokenize("The gene", "B")
    assert (pair.ids, pair.types) == (told["input_ids"], told["token_type_ids"])


def byte_vocabulary(folder: Path, specials: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """vocab.json and merges.txt of a byte-level BPE, as old RoBERTa and DeBERTa folders have them without tokenizer.json."""
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=330, special_tokens=specials, show_progress=False,
                                             initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())  # fmt: skip
    inner.train_from_iterator(["the genes of the mouse", *TEXTS] * 5, trainer)
    inner.model.save(str(folder))
    merges = [tuple(line.split(" ")) for line in (folder / "merges.txt").read_text("utf-8").splitlines()[1:]]
    return json.loads((folder / "vocab.json").read_text("utf-8")), merges  # type: ignore[return-value]


def agree(ours: Tokenizer, theirs: Any, mask: str) -> None:
    for text in (*TEXTS, f"the {mask} of the{mask}mouse"):
        assert ours.encode(text) == theirs(text)["input_ids"], text
    pair = ours.encode_many(["the genes"], ["of"])[0]
    told = theirs("the genes", "of", return_token_type_ids=True)
    assert (pair.ids, pair.types) == (told["input_ids"], told["token_type_ids"])
    assert ours.special("mask") == theirs.mask_token_id
    assert ours.special("pad") == theirs.pad_token_id


def test_old_vocabularies(tmp_path: Path) -> None:
    """RoBERTa's tokens stand around its texts also where there is no tokenizer.json, and around MPNet's words."""
    vocab, merges = byte_vocabulary(tmp_path, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    greedy = tokenizers.AddedToken("<mask>", lstrip=True)  # as the published tokenizer.json has it
    agree(load_tokenizer(tmp_path), transformers.RobertaTokenizer(vocab=vocab, merges=merges, mask_token=greedy), "<mask>")
    (tmp_path / "mpnet").mkdir()
    words = ["<s>", "<pad>", "</s>", "[UNK]", *LOWER, "of", "mouse", "<mask>"]
    words = list(dict.fromkeys(words))
    (tmp_path / "mpnet/vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    theirs = transformers.MPNetTokenizer(vocab={word: i for i, word in enumerate(words)})
    agree(load_tokenizer(tmp_path / "mpnet"), theirs, "<mask>")


def test_debertas_vocabulary(tmp_path: Path) -> None:
    """BERT's tokens around byte-level pieces, [CLS] a [SEP] b [SEP] (the reference's newest code puts one [SEP] more)."""
    vocab, merges = byte_vocabulary(tmp_path, ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"])
    greedy = tokenizers.AddedToken("[MASK]", lstrip=True)
    theirs, ours = transformers.DebertaTokenizer(vocab=vocab, merges=merges, mask_token=greedy), load_tokenizer(tmp_path)
    for text in (*TEXTS, "the [MASK] of the[MASK]mouse"):
        assert ours.encode(text) == theirs(text)["input_ids"], text
    a, b = (ours.encode(text, special=False) for text in ("the genes", "of"))
    pair = ours.encode_many(["the genes"], ["of"])[0]
    assert (pair.ids, pair.types) == ([1, *a, 2, *b, 2], [0] * (len(a) + 2) + [1] * (len(b) + 1))


@torch.no_grad()
def test_a_config_without_model_type(tmp_path: Path) -> None:
    """SciBERT's names neither a type nor a class: the tensors' prefix tells the type, and there is a pooler."""
    theirs = bert_folder(tmp_path / "old", LOWER, lower=True)
    rewrite(tmp_path / "old", model_type=None, architectures=None, transformers_version=None)
    ours, ids = load(tmp_path / "old"), torch.tensor([[2, 5, 6, 3]])
    assert ours.spec.head is not None
    assert ours.spec.head.kind == "pool"
    torch.testing.assert_close(ours(ids).pooled, theirs.bert(ids).pooler_output, **NEAR)
    ours.save(tmp_path / "new")
    again, info = transformers.AutoModel.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    torch.testing.assert_close(again(ids).pooler_output, ours(ids).pooled, **NEAR)
    whole = load(tmp_path / "old", head="pretrain")
    assert not whole.notes
    torch.testing.assert_close(whole(ids).pair_logits, theirs(ids).seq_relationship_logits, **NEAR)


@torch.no_grad()
@pytest.mark.parametrize("family", ["deberta", "deberta-v2"])
def test_a_head_that_only_its_tensors_tell_of(family: str, tmp_path: Path) -> None:
    """Published DeBERTa folders hold the new masked-word head beside a replaced-token one, and config.json says nothing of it."""
    case = Case(family, 2, "masked_lm")
    assert case.config["legacy"] is False
    theirs = saved(case, tmp_path / "in")
    tensors = load_file(tmp_path / "in/model.safetensors")
    tensors |= {f"mask_predictions.{name}": torch.ones(3) for name in ("dense.weight", "LayerNorm.bias", "classifier.weight")}
    tensors["deberta.embeddings.position_embeddings.weight"] = tensors.get(
        "deberta.embeddings.position_embeddings.weight", torch.zeros(64, 32)
    )
    write(tmp_path / "in", tensors)
    rewrite(tmp_path / "in", legacy=None, architectures=None)
    assert load(tmp_path / "in").spec.head is None
    ours, ids = load(tmp_path / "in", head="masked_lm"), torch.arange(5, 14)[None]
    assert ours.notes == ["left behind 3 tensors of another head (mask_predictions.LayerNorm.bias ...)"]
    torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, **NEAR)
    ours.save(tmp_path / "out")
    kind = getattr(transformers, case.data.architectures["masked_lm"])
    again, info = kind.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    torch.testing.assert_close(again(ids).logits, theirs(ids).logits, **NEAR)


@torch.no_grad()
@pytest.mark.parametrize(("number", "head"), [(0, "masked_lm"), (1, None), (2, "tag")])
def test_gte_beside_its_own_code(number: int, head: str | None, tmp_path: Path) -> None:
    """Alibaba-NLP's folders: type `new`, prefix `new.`, classes and rotary settings of code that lies beside the weights."""
    case = Case("gte", number, head)
    theirs = saved(case, tmp_path / "in")
    write(tmp_path / "in", renamed(tmp_path / "in", "gte.", "new."))
    rope = json.loads((tmp_path / "in/config.json").read_text("utf-8"))["rope_parameters"]
    rewrite(
        tmp_path / "in", model_type="new", architectures=[case.data.architectures[head].replace("Gte", "New")],
        auto_map={"AutoModel": "modeling.NewModel"}, position_embedding_type="rope", pack_qkv=True, layer_norm_type="layer_norm",
        logn_attention_scale=False, rope_parameters=None, rope_theta=rope["rope_theta"],
        rope_scaling={"type": "linear", "factor": rope["factor"]} if "factor" in rope else None,
    )  # fmt: skip
    ours, ids = load(tmp_path / "in"), torch.arange(5, 14)[None]
    torch.testing.assert_close(ours(ids).logits if head else ours(ids).last_hidden_state, theirs(ids)[0], **NEAR)
    ours.save(tmp_path / "out")
    written = json.loads((tmp_path / "out/config.json").read_text("utf-8"))
    assert written["model_type"] == "gte"
    assert "auto_map" not in written
    kind = getattr(transformers, case.data.architectures[head])
    again, info = kind.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    torch.testing.assert_close(again(ids)[0], theirs(ids)[0], **NEAR)


def test_gtes_ntk_scaling() -> None:
    """base * factor and all frequencies by factor^(2 / size), which is base^(-2i / size) * factor^(-2(i + 1) / size)."""
    gte = all_families()["gte"]
    config = {**gte.tiny[0], "model_type": "new", "rope_theta": 500.0, "rope_scaling": {"type": "ntk", "factor": 4.0}}
    scheme = gte.spec(config).main.positions[0]
    frequencies = RotaryPositions(scheme, 8).frequencies(torch.device("cpu"), 64)  # type: ignore[arg-type]
    want = torch.tensor([500.0 ** (-2 * i / 8) * 4.0 ** (-2 * (i + 1) / 8) for i in range(4)])
    torch.testing.assert_close(frequencies, want)
    settled = transformers.GteConfig(**{k: v for k, v in gte.settle(config, {}).items() if k != "model_type"})  # type: ignore[misc]
    torch.testing.assert_close(transformers.GteModel(settled).rotary_emb.inv_freq, want)
    with pytest.raises(ModelError, match="mixed_b"):
        gte.spec({**config, "rope_scaling": {"type": "ntk", "factor": 4.0, "mixed_b": 0.6}})
    with pytest.raises(ModelError, match="logn_attention_scale"):
        gte.spec({**config, "logn_attention_scale": True})


@torch.no_grad()
@pytest.mark.parametrize("head", ["masked_lm", None])
def test_nomic_beside_its_own_code(head: str | None, tmp_path: Path) -> None:
    """nomic-ai's folders: GPT-2's names for the sizes, and a prefix of BERT's for the masked-word model."""
    case = Case("nomic_bert", 0, head)
    theirs = saved(case, tmp_path / "in")
    write(tmp_path / "in", renamed(tmp_path / "in", "nomic_bert.", "bert."))
    (tmp_path / "in/config.json").write_text(json.dumps({
        "model_type": "nomic_bert", "architectures": ["NomicBertForPreTraining" if head else "NomicBertModel"], "vocab_size": 99,
        "n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 37, "n_positions": 8192, "max_trained_positions": 64,
        "layer_norm_epsilon": 1e-12, "activation_function": "swiglu", "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False, "rotary_scaling_factor": 2, "prenorm": False, "qkv_proj_bias": False,
        "mlp_fc1_bias": False, "mlp_fc2_bias": False, "resid_pdrop": 0.0, "attn_pdrop": 0.0, "type_vocab_size": 2,
        "use_rms_norm": False, "causal": False, "parallel_block": False, "auto_map": {"AutoModel": "modeling.NomicBertModel"},
    }), "utf-8")  # fmt: skip
    ours, ids = load(tmp_path / "in"), torch.arange(5, 14)[None]
    torch.testing.assert_close(ours(ids).logits if head else ours(ids).last_hidden_state, theirs(ids)[0], **NEAR)
    ours.save(tmp_path / "out")
    kind = getattr(transformers, case.data.architectures[head])
    again, info = kind.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    torch.testing.assert_close(again(ids)[0], theirs(ids)[0], **NEAR)
    long = torch.randint(5, 95, (1, 90), generator=torch.Generator().manual_seed(0))  # beyond 64 the base grows
    torch.testing.assert_close(ours(long).last_hidden_state, again(long, output_hidden_states=True).hidden_states[-1], **NEAR)
    with pytest.raises(ModelError, match="mlp_fc1_bias True where only False"):
        case.data.spec({**ours.config, "mlp_fc1_bias": True})


@torch.no_grad()
@pytest.mark.parametrize("family", ["roberta", "camembert", "xlm-roberta", "mpnet"])
def test_places_counted_from_the_padding(family: str, tmp_path: Path) -> None:
    """max_position_embeddings counts rows that no place reads: texts may be that much shorter, and not longer."""
    case = Case(family, 0, None)
    theirs = saved(case, tmp_path)
    ours = load(tmp_path)
    assert ours.spec.max_length == 64 == case.config["max_position_embeddings"] - 2
    ids = torch.randint(5, 95, (1, 64), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(ids).last_hidden_state, theirs(ids).last_hidden_state, **NEAR)
    with pytest.raises(ModelError, match="65 tokens and this model has positions for 64"):
        ours(torch.full((1, 65), 7))


@torch.no_grad()
def test_electras_two_models(tmp_path: Path) -> None:
    """The discriminator's folder gives its detector, the generator's its masked words; the other's head starts fresh."""
    finder = saved(Case("electra", 0, "detect"), tmp_path / "finder")
    maker = saved(Case("electra", 0, "masked_lm"), tmp_path / "maker")
    ids = torch.arange(5, 14)[None]
    torch.testing.assert_close(load(tmp_path / "finder")(ids).logits, finder(ids).logits, **NEAR)
    torch.testing.assert_close(load(tmp_path / "maker")(ids).logits, maker(ids).logits, **NEAR)
    other = load(tmp_path / "maker", head="detect")
    assert other.notes[0].startswith("started head.dense.bias, head.dense.weight, head.out.bias, head.out.weight fresh")
