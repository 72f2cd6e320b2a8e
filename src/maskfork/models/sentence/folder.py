"""A sentence-transformers folder: its modules in order, its prompts, how vectors are compared, how long a text may be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from maskfork import __version__
from maskfork.errors import ModelError
from maskfork.models.formats.belongs import MODULES
from maskfork.models.formats.readable import save_tensors
from maskfork.models.sentence.pooling import read_pooling
from maskfork.models.sentence.stages import Stage, read_dense, read_dropout, read_layer_norm, read_normalize
from maskfork.models.tokenizers.face import Tokenizer

ABOUT = "config_sentence_transformers.json"
#: what the Transformer's own settings were called before all were called the first
BERT_CONFIGS = tuple(
    f"sentence_{name}_config.json" for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
#: lengths above this are the tokenizers' way to say that there is no limit
NO_LIMIT = 10**9


@dataclass(frozen=True)
class Described:
    """What a folder says. `root` holds the Transformer; `plain` where there is no modules.json."""

    root: Path
    stages: tuple[Stage, ...] = ()
    plain: bool = False
    model_type: str = "SentenceTransformer"
    task: str = "feature-extraction"
    about: Mapping[str, Any] = field(default_factory=dict)
    max_seq_length: int | None = None
    do_lower_case: bool = False

    @property
    def prompts(self) -> dict[str, str]:
        return {str(name): str(text or "") for name, text in (self.about.get("prompts") or {}).items()}


def describe(folder: Path) -> Described:
    """Read what a folder says. Raises ModelError for modules that are not known here, which are named."""
    if not (folder / MODULES).is_file():
        return Described(folder, plain=True)
    about, modules = _json(folder / ABOUT), read_modules(folder)
    kinds, places = [kind for kind, _ in modules], [place for _, place in modules]
    if not kinds or kinds[0] != "Transformer":
        raise ModelError(f"{folder} begins with {kinds[0] if kinds else 'no module'}, but only Transformers encode texts here")
    said = next((_json(places[0] / name) for name in BERT_CONFIGS if (places[0] / name).is_file()), {})
    formats = said.get("modality_config")
    if formats and set(formats) != {"text"}:
        raise ModelError(f"{folder} reads {', '.join(sorted(formats))} and only plain text is read here: take a text-only model")
    if said.get("query_expansion") or said.get("processing_kwargs"):
        raise ModelError(f"{folder} sets processing_kwargs or query_expansion, which are not known here: leave them out")
    return Described(
        places[0],
        tuple(read_stage(kind, place) for kind, place in zip(kinds[1:], places[1:], strict=True)),
        model_type=str(about.get("model_type", "SentenceTransformer")),
        task=str(said.get("transformer_task", "feature-extraction")),
        about=about,
        max_seq_length=said.get("max_seq_length"),
        do_lower_case=bool(said.get("do_lower_case", False)),
    )


def longest(described: Described, tokenizer: Tokenizer) -> int | None:
    """The most tokens of a text: as the Transformer's settings say, else as the tokenizer says; None for no limit."""
    found = described.max_seq_length or tokenizer.config.get("model_max_length")
    return int(found) if found and int(found) < NO_LIMIT else None


def fit(stages: Sequence[Stage], width: int, where: str) -> int:
    """The width of what the last stage gives. Raises ModelError where one does not take what the one before gives."""
    widths = {"token_embeddings": width}
    for stage in stages:
        have = widths.get(stage.source)
        if have is None or stage.takes not in (None, have):
            raise ModelError(f"{where}: {stage.kind} takes {stage.source} of {stage.takes} numbers and gets {have or 'none'}")
        widths[stage.target] = stage.gives or have
    return widths[stages[-1].target] if stages else width


def write_modules(
    folder: Path,
    stages: Sequence[Stage],
    about: Mapping[str, Any],
    transformer: Mapping[str, Any] | None = None,
    first: str = "Transformer",
) -> None:
    """Beside a saved `first` module: modules.json, a folder a stage, and what `describe` reads of the rest.

    `transformer`: a Transformer's own settings; None where the first module has none.
    """
    entries = [{"idx": 0, "name": "0", "path": "", "type": f"sentence_transformers.models.{first}"}]
    for index, stage in enumerate(stages, 1):
        place = folder / f"{index}_{stage.kind}"
        place.mkdir(exist_ok=True)
        if (said := stage.config()) is not None:
            _write(place / "config.json", said)
        if tensors := {name: t.detach().cpu().contiguous() for name, t in stage.state_dict().items()}:
            save_tensors(tensors, place / "model.safetensors")
        kind = f"sentence_transformers.models.{stage.kind}"
        entries.append({"idx": index, "name": str(index), "path": place.name, "type": kind})
    if transformer is not None:
        _write(folder / BERT_CONFIGS[0], transformer)
    _write(folder / ABOUT, {"__version__": {"maskfork": __version__}, **about})
    _write(folder / MODULES, entries)


def read_modules(folder: Path) -> list[tuple[str, Path]]:
    """What modules.json lists: the kind of each module and its folder. Raises ModelError."""
    return [(_kind(entry, folder), _inside(folder, str(entry.get("path", "")))) for entry in _json_list(folder / MODULES)]


def _kind(entry: Any, folder: Path) -> str:
    path = str(entry.get("type", "")) if isinstance(entry, dict) else ""
    if not path.startswith("sentence_transformers."):
        raise ModelError(f"{folder / MODULES} names {path or 'no type'}, code of its own, which is not run here")
    return path.rsplit(".", 1)[-1]


def read_stage(kind: str, place: Path) -> Stage:
    """A module of the folder beside the first. Raises ModelError for one that is not known here."""
    said = _json(place / "config.json")
    match kind:
        case "Pooling":
            return read_pooling(said, str(place / "config.json"))
        case "Dense":
            return read_dense(said, place)
        case "LayerNorm":
            return read_layer_norm(said, place)
        case "Normalize":
            return read_normalize(said, place)
        case "Dropout":
            return read_dropout(said, place)
    raise ModelError(f"{place} is a {kind}, which is not known here: Pooling, Dense, LayerNorm, Normalize and Dropout are")


def _inside(folder: Path, path: str) -> Path:
    """A module's folder, which must lie in the model's."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise ModelError(f"{folder / MODULES} names {path}, which lies outside: the folder is not to be trusted")
    return folder / path


def _json(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file."""
    found = _parsed(file) if file.is_file() else {}
    if not isinstance(found, dict):
        raise ModelError(f"{file} is not a JSON object: download it again")
    return found


def _json_list(file: Path) -> list[Any]:
    found = _parsed(file)
    if not isinstance(found, list):
        raise ModelError(f"{file} is not a JSON list: download it again")
    return found


def _parsed(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file} is not valid JSON ({error}): download it again") from error


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
