"""How an encoder-decoder is told what to do with a text: words before it, a first token, settings of its own for the job."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskfork.errors import UsageError
from maskfork.models.device import best_device
from maskfork.models.hub import load
from maskfork.models.model import Model, check_head
from maskfork.prompt.generate.settings import NAMES


@dataclass(frozen=True)
class Manner:
    """`before` stands before every text; `settings` are for `generate`."""

    before: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def open_writer(where: str | Path, job: str) -> Model:
    """An encoder-decoder with its head. Raises UsageError on other models."""
    model = load(where)
    if model.spec.fork != "encoder-decoder":
        cure = "ask a decoder with `maskfork generate`, or give an encoder-decoder (t5, bart, marian, ...)"
        raise UsageError(f"{model.spec.family} has one stack and does not {job}: {cure}")
    check_head(model.spec, "causal_lm")
    return model.to(best_device())


def translating(model: Model, source: str | None, target: str | None) -> Manner:
    """By the job of that name in config.json (T5), by a language's own token (mBART), or as the model was trained (Marian)."""
    known = _jobs(model)
    pairs = sorted(name for name in known if name.startswith("translation_"))
    if source and target and (job := f"translation_{source}_to_{target}") in known:
        return _manner(known[job])
    if target is not None and (token := _language(model, target)) is not None:
        return Manner(settings={"forced_bos_token_id": token})
    if source is not None or target is not None:
        cure = f"it knows {', '.join(pairs)}" if pairs else "it translates as it was trained: leave --from and --to out"
        raise UsageError(f"this model does not say how to translate from {source or '?'} to {target or '?'}: {cure}")
    if pairs:
        raise UsageError(f"this model translates several ways ({', '.join(pairs)}): say --from and --to")
    return _said(model)


def summarising(model: Model) -> Manner:
    """By the job of that name in config.json (T5, BART), or as the model was trained."""
    known = _jobs(model)
    return _manner(known["summarization"]) if "summarization" in known else _said(model)


def _jobs(model: Model) -> dict[str, dict[str, Any]]:
    return dict(model.config.get("task_specific_params") or {})


def _manner(job: dict[str, Any]) -> Manner:
    settings = {name: value for name, value in job.items() if name in NAMES and name != "prefix"}
    if "max_length" in settings:  # theirs counts the first token
        settings["max_new_tokens"] = max(1, settings.pop("max_length") - 1)
    return Manner(str(job.get("prefix") or ""), settings)


def _said(model: Model) -> Manner:
    before = str(model.config.get("prefix") or "")
    return Manner(before, {}, (f"every text is read after the words {before!r}, as config.json says",) if before else ())


def _language(model: Model, name: str) -> int | None:
    """The token of a language: `de_DE`, or `__de__`."""
    return next((t for t in (model.tokenizer.id(name), model.tokenizer.id(f"__{name}__")) if t is not None), None)
