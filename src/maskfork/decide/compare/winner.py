"""OUT/winner: the model to use, in a folder that `maskfork predict` opens, whatever its kind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from maskfork.decide.compare.contender import Predictor
from maskfork.errors import DataError, ModelError
from maskfork.models.about import FILE, describe, said_of


def open_predictor(folder: Path | str) -> Predictor:
    """The predictor in a folder that `compare` or a fine-tuning wrote; a Hugging Face classifier's folder opens too.

    Raises ModelError where the folder is missing, is of no known kind, or is not whole.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = f"{folder} is a file and no folder" if folder.exists() else f"There is no folder {folder}"
        raise ModelError(f"{what}: give the folder of a model, such as OUT/winner.")
    kind = kind_of(folder)
    if kind == "fine-tune":
        from maskfork.learn.tasks.classify import Classifier

        return Classifier.open(folder)
    if kind == "probe":
        from maskfork.learn.tasks.probe import Probe

        return Probe.open(folder)
    if kind == "static":
        from maskfork.learn.tasks.static import StaticClassifier

        return StaticClassifier.open(folder)
    if kind == "tf-idf":
        from maskfork.decide.compare.contenders.tfidf import TfidfPredictor

        return TfidfPredictor.open(folder)
    if kind == "prompt":
        from maskfork.decide.compare.contenders.prompted import PromptedPredictor

        return PromptedPredictor.open(folder)
    from maskfork.decide.compare.contenders.endpoint import EndpointPredictor

    return EndpointPredictor.open(folder)


def answerer(predictor: Predictor) -> Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]:
    """Rows {text, pair} to answers {label, probabilities, tokens_lost}; all rows have a pair, or none has."""
    names = list(predictor.label_names)

    def answer(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        if any("text" not in row for row in rows) or len({"pair" in row for row in rows}) > 1:
            raise DataError("a row to label holds a text, and a pair in every row or in none")
        first = [row["text"] for row in rows]
        second = [row["pair"] for row in rows] if rows and "pair" in rows[0] else None
        probs = predictor.predict(first, second)
        count = getattr(predictor, "tokens_lost", None)  # a model without a limit (TF-IDF) reads all
        lost = [0] * len(rows) if count is None else [int(n) for n in count(first, second)]
        return [
            {
                "label": names[int(p.argmax())],
                "probabilities": {name: round(float(value), 6) for name, value in zip(names, p, strict=True)},
                "tokens_lost": n,
            }
            for p, n in zip(probs, lost, strict=True)
        ]

    return answer


def kind_of(folder: Path) -> str:
    """What maskfork.json says; a folder with config.json, or an adapter's, and none of ours is a classifier."""
    path = folder / FILE
    if not path.exists():
        if (folder / "probe.safetensors").exists():
            return "probe"
        if (folder / "config.json").exists() or (folder / "adapter_config.json").exists():
            return "fine-tune"
        inside = [name.parent.name for name in sorted(folder.glob(f"*/{FILE}"))]
        cure = f"its folder {inside[-1]} does: give {folder / inside[-1]}" if inside else "give the folder of a model"
        raise ModelError(f"{folder} holds neither maskfork.json nor config.json: {cure}.")
    kind = said_of(folder).get("kind")
    if kind not in ("fine-tune", "probe", "static", "tf-idf", "prompt", "endpoint"):
        raise ModelError(f"{path} names the kind {kind!r}, which this maskfork does not know: update maskfork.")
    return str(kind)


def write_winner(model: Path, winner: Path, about: Mapping[str, object], card: str) -> None:
    """Copy the fitted model to OUT/winner with its card (README.md); the old winner gives way only to a whole one."""
    beside = winner.with_name(f".{winner.name}.{os.getpid()}.part")
    shutil.copytree(model, beside)
    describe(beside, about)
    (beside / "README.md").write_text(card, "utf-8")
    if winner.exists():
        old = winner.with_name(f".{winner.name}.old.{os.getpid()}.part")
        os.replace(winner, old)
        os.replace(beside, winner)
        shutil.rmtree(old)
    else:
        os.replace(beside, winner)
