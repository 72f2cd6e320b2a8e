"""The models that can be served: whatever `maskfork predict` opens, sentence encoders, cross-encoders, prompted tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maskfork.decide.compare.winner import answerer, open_predictor
from maskfork.deploy.serve.served.classifier import ServedPredictor, ServedSorter
from maskfork.deploy.serve.served.how import Labels, Relevance, Rows, TokenVectors, Vectors
from maskfork.deploy.serve.served.prompted import open_asked
from maskfork.deploy.serve.served.rows import ServedRows
from maskfork.deploy.serve.served.sentence import ServedEncoder, ServedPipeline, ServedReranker
from maskfork.deploy.serve.served.served import KINDS, Kind, Row, Served
from maskfork.deploy.serve.served.writer import ServedWriter
from maskfork.errors import UsageError
from maskfork.learn.tasks import task_in, task_of
from maskfork.learn.tasks.embed.trained import TrainedEncoder
from maskfork.learn.tasks.instruct.assistant import Assistant
from maskfork.learn.tasks.rerank.trained import TrainedReranker
from maskfork.learn.train.precision import has_bf16
from maskfork.models.about import said_of
from maskfork.models.device import best_device
from maskfork.models.formats.belongs import MODULES
from maskfork.models.hub import find_folder, named_head, read_config
from maskfork.models.native import Bits
from maskfork.models.runtimes.writer import open_writer
from maskfork.models.sentence.cross import OLD

__all__ = [
    "KINDS",
    "Kind",
    "Labels",
    "Relevance",
    "Row",
    "Rows",
    "Served",
    "ServedPipeline",
    "TokenVectors",
    "Vectors",
    "open_served",
]


def open_served(name: str, where: str, *, bf16: bool = False, decoder: str = "", bits: Bits | None = None) -> Served:
    """The model in a folder or on the Hub, multiplying in bf16 or as it is; or a task.yaml, asked of `decoder`. A decoder
    reads by the compiled pass in `bits`, or as its folder says.

    Raises ModelError, TokenizerError, UsageError.
    """
    if bf16 and not has_bf16(best_device()):
        raise UsageError("this processor has no bf16 arithmetic: leave --bf16 out")
    served = open_asked(name, Path(where), decoder, bits) or _open(name, find_folder(where), bits)
    if bf16 and isinstance(served, ServedWriter):
        raise UsageError(f"{name} writes, and --bits says in how many bits: leave --bf16 out, or serve it apart")
    served.bf16 = bf16
    return served


def _open(name: str, folder: Path, bits: Bits | None) -> Served:
    kind = said_of(folder).get("kind")
    if kind in ("classify", "fine-tune"):
        return _sorter(name, folder)
    if kind is None and not (folder / "probe.safetensors").is_file():
        if _scores_pairs(folder):
            return _trained(name, folder, task_of("rerank").open(folder), bits)
        head = named_head(folder)
        if head == "causal_lm":
            model = open_writer(folder)
            if model.spec.fork == "decoder":
                return ServedWriter(name, folder, model, bits=bits)
            return ServedRows(name, folder, task_of("seq2seq").open(folder))
        if head == "classify":
            return _sorter(name, folder)
        if task_in(folder) is None and (folder / MODULES).is_file():
            return _trained(name, folder, task_of("embed").open(folder), bits)
    task = task_in(folder)
    if task is not None:
        return _trained(name, folder, task.open(folder), bits)
    predictor = open_predictor(folder)
    return ServedPredictor(name, folder, predictor, answerer(predictor))


def _sorter(name: str, folder: Path) -> Served:
    from maskfork.learn.tasks.classify import Sorter

    return ServedSorter(name, folder, Sorter.open(folder))


def _trained(name: str, folder: Path, trained: Any, bits: Bits | None) -> Served:
    if isinstance(trained, TrainedEncoder):
        return ServedEncoder(name, folder, trained.encoder, trained.predict)
    if isinstance(trained, TrainedReranker) and trained.encoder.num_labels == 1:
        return ServedReranker(name, folder, trained.encoder, trained.predict)
    if isinstance(trained, Assistant):
        return ServedWriter(name, folder, trained.model, trained.predict, bits=bits)
    return ServedRows(name, folder, trained)


def _scores_pairs(folder: Path) -> bool:
    """Whether a folder that is not ours is a cross-encoder's, by the marks that sentence-transformers leaves."""
    config = read_config(folder)
    marked = OLD in config or "activation_fn" in (config.get("sentence_transformers") or {})
    return marked and str((config.get("architectures") or [""])[0]).endswith("ForSequenceClassification")
