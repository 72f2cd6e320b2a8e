"""Peak memory of one saved model, alone in a fresh process: `python -m maskfork.decide.compare.weigh FOLDER TEXTS`.

It opens the model, answers the texts (JSON: {"texts": [...], "pairs": [...] or null}) and prints JSON on stdout:
{"memory_mb": peak resident memory of the whole process, "gpu_mb": peak on the GPU or null}. In one process with the
others, the peak of the largest would be everyone's. The Python and torch that the model needs are part of the figure:
that is what serving it takes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from maskfork.decide.compare.winner import open_predictor
from maskfork.measure.memory import peak_memory_mb


def main(folder: str, texts_file: str) -> None:
    said = json.loads(Path(texts_file).read_text("utf-8"))
    open_predictor(folder).predict(said["texts"], said["pairs"])
    gpu_mb = None
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
            gpu_mb = torch.cuda.max_memory_allocated() / 1e6
    print(json.dumps({"memory_mb": peak_memory_mb(), "gpu_mb": gpu_mb}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
