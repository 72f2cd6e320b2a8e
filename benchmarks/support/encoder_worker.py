"""One contender in a process of its own: `python -m benchmarks.support.encoder_worker NAME FOLDER TUNE`.

TUNE is a JSON file of texts to tune and to calibrate with. Says "ready", then answers each line {"texts": FILE, "what": ...}
with a line of JSON: "all" is the seconds of one pass over the texts; "one" and "two" the milliseconds of single calls, by one
client or by two that ask one worker, after some that are not counted; "peak" what int8 products reach here a second; "logits"
writes what it says of the texts beside FILE and names that file.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.encoder_batches import Classify
from benchmarks.support.encoder_peers import contenders
from maskfork.deploy.bench.peak import peaks

CALLS, ENOUGH = 400, 3.0  # single calls, fewer where they take longer than these seconds together
COLD = 20  # calls first, for a thread that has never asked, after others have had the cache for minutes


def answer(classify: Classify, texts: list[str], what: str, to: Path) -> Any:
    """What was asked for."""
    match what:
        case "all":
            begun = time.perf_counter()
            classify(texts)
            return time.perf_counter() - begun
        case "one":
            return _calls(classify, texts)
        case "two":
            with ThreadPoolExecutor(1) as worker, ThreadPoolExecutor(2) as clients:

                def asked(some: list[str]) -> object:
                    return worker.submit(classify, some).result()

                def client(who: int) -> list[float]:
                    return _calls(asked, texts[who:])

                return [taken for own in clients.map(client, range(2)) for taken in own]
        case "peak":
            return peaks()["int8"]
        case "logits":
            np.save(to, classify(texts))
            return str(to)
    raise ValueError(what)


def _calls(classify: Callable[[list[str]], object], texts: list[str]) -> list[float]:
    """Milliseconds of each call with one text."""
    for n in range(COLD):
        classify([texts[n % len(texts)]])
    taken: list[float] = []
    while len(taken) < CALLS and (len(taken) < 100 or sum(taken) < 1000 * ENOUGH):
        begun = time.perf_counter()
        classify([texts[len(taken) % len(texts)]])
        taken.append(1000 * (time.perf_counter() - begun))
    return taken


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
