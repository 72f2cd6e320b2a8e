"""peft's adapters in ours and ours in peft's: the same logits, merged or not."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import maskfork
from maskfork.models.model import Model

peft = pytest.importorskip("peft", reason="peft is the oracle of these tests: pip install -e '.[dev]'")
transformers = pytest.importorskip("transformers")

CLOSE = 1e-5
IDS = torch.randint(3, 90, (2, 7), generator=torch.Generator().manual_seed(1))
KEPT = torch.ones_like(IDS)
IDS[1, 5:], KEPT[1, 5:] = 0, 0
WIDE = dict(vocab_size=99, hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4)
SMALL = {**WIDE, "max_position_embeddings": 64}
ENDS = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)
FAMILIES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "bert": ("BertForSequenceClassification", "BertConfig", {**SMALL, "num_labels": 3}, "SEQ_CLS"),
    "roberta": ("RobertaForSequenceClassification", "RobertaConfig", {**SMALL, "num_labels": 3, "pad_token_id": 1}, "SEQ_CLS"),
    "gpt2": (
        "GPT2LMHeadModel", "GPT2Config", dict(vocab_size=99, n_embd=32, n_layer=2, n_head=4, n_positions=64, **ENDS), "CAUSAL_LM",
    ),
    "llama": ("LlamaForCausalLM", "LlamaConfig", {**SMALL, "num_key_value_heads": 2}, "CAUSAL_LM"),
    "t5": (
        "T5ForConditionalGeneration", "T5Config",
        dict(vocab_size=99, d_model=32, d_ff=37, d_kv=8, num_layers=2, num_heads=4, decoder_start_token_id=0), "SEQ_2_SEQ_LM",
    ),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", {**SMALL, "num_key_value_heads": 2, **ENDS}, "CAUSAL_LM"),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", {**SMALL, "num_attention_heads": 2, **ENDS}, "CAUSAL_LM"),
}  # fmt: skip
KINDS = ("lora", "dora", "rslora", "ia3", "prefix", "prompt")
NAMED = {"phi3": ["qkv_proj", "down_proj"], "gpt_neox": ["query_key_value"]}  # peft knows no targets of its own for these


def config_of(kind: str, family: str, task: str) -> Any:
    """peft's description of each kind; where it can, on all linear maps."""
    match kind:
        case "lora":
            return peft.LoraConfig(task_type=task, r=4, lora_dropout=0.1, target_modules=NAMED.get(family))
        case "dora":
            return peft.LoraConfig(task_type=task, r=4, use_dora=True, target_modules="all-linear")
        case "rslora":
            return peft.LoraConfig(task_type=task, r=3, use_rslora=True, lora_alpha=5, target_modules="all-linear")
        case "ia3":
            both = {"target_modules": NAMED[family], "feedforward_modules": ["down_proj"]} if family == "phi3" else {}
            return peft.IA3Config(task_type=task, **both)
        case "prefix":
            return peft.PrefixTuningConfig(task_type=task, num_virtual_tokens=5)
    return peft.PromptTuningConfig(task_type=task, num_virtual_tokens=5)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return tmp_path_factory.mktemp("peft")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """transformers prints generation configs while it saves."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def base_of(family: str, folders: Path) -> tuple[Any, Path]:
    """The reference's class and a folder of random weights."""
    name, config, values, _ = FAMILIES[family]
    folder, kind = folders / family, getattr(transformers, name)
    if not folder.is_dir():
        torch.manual_seed(0)
        made = kind(getattr(transformers, config)(**values))
        for p in made.parameters():
            p.data += torch.randn_like(p) * 0.1
        made.save_pretrained(folder)
    return kind, folder


def adapted(kind: str, family: str, folders: Path) -> tuple[Any, Path]:
    """A model of peft's whose adapter does something, and the adapter's folder."""
    reference, base = base_of(family, folders)
    model = peft.get_peft_model(reference.from_pretrained(base).eval(), config_of(kind, family, FAMILIES[family][3]))
    generator = torch.Generator().manual_seed(3)
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data += torch.randn(p.shape, generator=generator) * (0.02 if "magnitude" in name else 0.1)
    folder = folders / f"{family}-{kind}"
    model.save_pretrained(folder)
    return model.eval(), folder


def theirs(model: Any, family: str) -> Tensor:
    with torch.no_grad():
        more = {"decoder_input_ids": IDS[:, :6]} if family == "t5" else {}
        return real(model(input_ids=IDS, attention_mask=KEPT, **more).logits, family)


def ours(model: Model, family: str) -> Tensor:
    with torch.no_grad():
        said = model(IDS, KEPT, decoder_input_ids=IDS[:, :6] if family == "t5" else None).logits
        assert said is not None
        return real(said, family)


def real(logits: Tensor, family: str) -> Tensor:
    """Of real tokens alone: a prompt's own have logits in peft, padding's differ between any two implementations."""
    if family == "t5" or logits.dim() == 2:
        return logits
    return logits[:, -IDS.shape[1] :][KEPT.bool()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_same_logits_both_ways(family: str, kind: str, folders: Path) -> None:
    reference, folder = adapted(kind, family, folders)
    want = theirs(reference, family)
    model = maskfork.load(folder)
    got = ours(model, family)
    assert (got - want).abs().max() < CLOSE
    plain = maskfork.load(folders / family)
    assert (ours(plain, family) - want).abs().max() > 1e-2  # the adapter does something
    if kind not in ("prefix", "prompt"):
        assert model.adapters is not None
        before = {n: p.clone() for n, p in model.tensors().items()}
        model.adapters.merge()
        assert (ours(model, family) - got).abs().max() < CLOSE
        model.adapters.unmerge()
        assert all(torch.equal(p, before[n]) for n, p in model.tensors().items())
    back = model.save(folders / f"{family}-{kind}-back")
    name = getattr(transformers, FAMILIES[family][0])
    again = peft.PeftModel.from_pretrained(name.from_pretrained(folders / family), back).eval()
    assert (theirs(again, family) - want).abs().max() < CLOSE


def test_a_merged_adapter_is_a_whole_model_of_the_reference(folders: Path) -> None:
    reference, folder = adapted("lora", "gpt2", folders)
    model = maskfork.load(folder)
    assert model.adapters is not None
    model.adapters.merge()
    whole = model.save(folders / "merged")
    loaded = transformers.GPT2LMHeadModel.from_pretrained(whole).eval()
    assert (theirs(loaded, "gpt2") - theirs(reference, "gpt2")).abs().max() < CLOSE


def test_parts_of_a_fused_matrix_go_to_peft_as_one_module(folders: Path) -> None:
    """LoRA on the queries and values alone of GPT-2's c_attn: peft reads it as c_attn with twice the rank."""
    from maskfork.models.adapters import Adapters, LoRA

    _, base = base_of("gpt2", folders)
    model = maskfork.load(base)
    model.adapters = Adapters(model)
    model.adapters.add("default", LoRA(rank=3, alpha=5, targets=("query", "value")))
    for name, p in model.named_parameters():
        if name.endswith(".b"):
            p.data = torch.randn(p.shape, generator=torch.Generator().manual_seed(2)) * 0.1
    folder = model.save(folders / "split")
    again = peft.PeftModel.from_pretrained(transformers.GPT2LMHeadModel.from_pretrained(base), folder).eval()
    assert (theirs(again, "gpt2") - ours(model, "gpt2")).abs().max() < CLOSE
    assert (ours(maskfork.load(folder), "gpt2") - ours(model, "gpt2")).abs().max() < CLOSE
