"""Peak memory of one saved model, alone in a fresh process: `python -m maskfork.decide.compare.weigh FOLDER TEXTS`.

It opens the model, answers the texts (JSON: {"texts": [...], "pairs": [...] or null}) and prints JSON on stdout:
{"memory_mb": peak resident memory of the whole process, "gpu_mb": peak on the GPU or null}. In one process with the
others, the peak of the largest would be everyone's. The Python and torch that the model needs are part of the figure:
that is what serving it takes.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def peak_resident_mb() -> float:
    """Peak resident memory of this process, in MB (10^6 bytes).

    Linux: VmHWM, which starts anew with the program; `ru_maxrss` would carry the peak of the parent over the fork.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found.group(1)) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def main(folder: str, texts_file: str) -> None:
    from maskfork.decide.compare.winner import open_predictor

    said = json.loads(Path(texts_file).read_text("utf-8"))
    predictor = open_predictor(folder)
    predictor.predict(said["texts"], said["pairs"])
    gpu_mb = None
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            gpu_mb = torch.cuda.max_memory_allocated() / 1e6
    print(json.dumps({"memory_mb": peak_resident_mb(), "gpu_mb": gpu_mb}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
