"""One contender in a process of its own: `python -m benchmarks.support.encoder_worker NAME FOLDER TUNE`.

TUNE is a JSON file of texts to tune and to calibrate with. Says "ready", then answers each line {"texts": FILE, "what": ...}
with a line of JSON: "all" is the seconds of one pass over the texts; "one" and "two" the milliseconds of single calls, by one
client or by two that ask one worker; "logits" writes what it says of the texts beside FILE and names that file.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.encoder_batches import Classify
from benchmarks.support.encoder_peers import contenders

CALLS = 200


def answer(classify: Classify, texts: list[str], what: str, to: Path) -> Any:
    """What was asked for."""
    match what:
        case "all":
            begun = time.perf_counter()
            classify(texts)
            return time.perf_counter() - begun
        case "one":
            return [_timed(lambda i=i: classify([texts[i % len(texts)]])) for i in range(CALLS)]
        case "two":
            with ThreadPoolExecutor(1) as worker, ThreadPoolExecutor(2) as clients:

                def asked(text: str) -> object:
                    return worker.submit(classify, [text]).result()

                def client(who: int) -> list[float]:
                    return [_timed(lambda i=i: asked(texts[(i + who) % len(texts)])) for i in range(CALLS)]

                return [taken for own in clients.map(client, range(2)) for taken in own]
        case "logits":
            np.save(to, classify(texts))
            return str(to)
    raise ValueError(what)


def _timed(call: Any) -> float:
    begun = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    name, folder, tune = sys.argv[1:]
    out = sys.stdout
    sys.stdout = sys.stderr  # libraries talk
    classify = contenders()[name](Path(folder), json.loads(Path(tune).read_text()))
    print(json.dumps("ready"), file=out, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        texts = json.loads(Path(asked["texts"]).read_text())
        to = Path(asked["texts"]).with_suffix(f".{name.replace(' ', '-')}.npy")
        print(json.dumps(answer(classify, texts, asked["what"], to)), file=out, flush=True)


if __name__ == "__main__":
    main()
