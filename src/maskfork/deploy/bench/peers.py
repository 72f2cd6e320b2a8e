"""Other libraries on the same folder, where they are installed: what people run today. Each in a process of its own.

python -m maskfork.deploy.bench.peers transformers-pipeline
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from maskfork.deploy.optimize.opened import Answers, Opened, Rows
from maskfork.deploy.optimize.worker import Worker, answer_lines
from maskfork.models.formats.belongs import MODULES

BATCH = 32
ENDLESS = 1_000_000  # transformers' way to say that there is no limit is a number far above
COUNT_FROM_PADDING = ("roberta", "xlm-roberta", "camembert")  # whose first place is behind the padding's id
PEERS: dict[str, str] = {
    "transformers-pipeline": "transformers",
    "transformers-sorted": "transformers",
    "sentence-transformers": "sentence_transformers",
}
ABOUT = {
    "transformers-pipeline": f"transformers' pipeline, {BATCH} a batch",
    "transformers-sorted": f"transformers, {BATCH} a batch, sorted by length",
    "sentence-transformers": f"sentence-transformers, {BATCH} a batch",
}


def installed(kind: str) -> tuple[list[str], dict[str, str]]:
    """The peers that can run a model that answers with labels or vectors, and name -> why for the others."""
    found, left = [], {}
    for name, package in PEERS.items():
        if name == "sentence-transformers" and kind != "vector":
            left[name] = "it gives vectors"
        elif kind not in ("labels", "vector"):
            left[name] = "peers are compared on labels and vectors"
        elif find_spec(package) is None:
            left[name] = f"{package} is not installed"
        else:
            found.append(name)
    return found, left


def open_peer(name: str, folder: Path) -> Callable[[Sequence[str]], Any]:
    """Texts to whatever the library gives, the way its own documentation shows."""
    if name == "sentence-transformers":
        model = import_module("sentence_transformers").SentenceTransformer(str(folder), device="cpu")
        return lambda texts: model.encode(list(texts), batch_size=BATCH)
    library = import_module("transformers")
    vectors = (folder / MODULES).is_file()
    if name == "transformers-pipeline":
        task = "feature-extraction" if vectors else "text-classification"
        pipe = library.pipeline(task, model=str(folder), device="cpu")
        limit(pipe.tokenizer, pipe.model)
        more = {} if vectors else {"truncation": True}
        return lambda texts: pipe(list(texts), batch_size=BATCH, **more)
    import torch

    tokenizer = library.AutoTokenizer.from_pretrained(str(folder))
    kind = "AutoModel" if vectors else "AutoModelForSequenceClassification"
    network = getattr(library, kind).from_pretrained(str(folder)).eval()
    limit(tokenizer, network)

    def ask(texts: Sequence[str]) -> list[Any]:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        found: list[Any] = [None] * len(texts)
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                part = order[start : start + BATCH]
                read = tokenizer([texts[i] for i in part], padding=True, truncation=True, return_tensors="pt")
                for i, row in zip(part, network(**read)[0], strict=True):
                    found[i] = row
        return found

    return ask


def limit(tokenizer: Any, network: Any) -> None:
    """Where the tokenizer's files name no longest text, the model's positions are it: the library would read on and fall over."""
    places = getattr(network.config, "max_position_embeddings", None)
    if places is not None and tokenizer.model_max_length > ENDLESS:
        first = (network.config.pad_token_id or 0) + 1 if network.config.model_type in COUNT_FROM_PADDING else 0
        tokenizer.model_max_length = places - first


class PeerWorker(Worker):
    """The same questions, answered by a peer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def load(self, folder: Path, task: Path | None) -> Opened:
        ask = open_peer(self.name, folder)

        def answer(rows: Rows) -> Answers:
            ask([row["text"] for row in rows])
            return []

        return Opened(answer, lambda rows: (answer(rows), None))


if __name__ == "__main__":
    import_module(PEERS[sys.argv[1]])  # its own loading is not the model's
    answer_lines(PeerWorker(sys.argv[1]))
