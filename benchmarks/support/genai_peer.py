"""onnxruntime-genai as a contender: its own builder's graph of the Llama, in float32 and int8 (no bfloat16 on CPU, no GPT-2)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.support.apart import Write
from benchmarks.support.words import with_words

THREADS = 2


PRECISIONS = {32: "fp32", 8: "int8"}


def genai_folder(folder: Path, vocab: int, bits: int) -> Path:
    """The benchmark's folder as onnxruntime-genai holds it; written once."""
    out = folder / f"genai-{PRECISIONS[bits]}"
    if not (out / "genai_config.json").exists():
        with with_words(folder, vocab) as copy:
            build = (sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(copy), "-o", str(out), "-c", str(out))
            subprocess.run([*build, "-p", PRECISIONS[bits], "-e", "cpu"], check=True)
        config = json.loads((out / "genai_config.json").read_text("utf-8"))
        options = config["model"]["decoder"]["session_options"]
        options["intra_op_num_threads"] = THREADS
        (out / "genai_config.json").write_text(json.dumps(config), "utf-8")
    return out


def genai_writer(folder: Path) -> Write:
    import numpy as np
    import onnxruntime_genai as genai

    model = genai.Model(str(folder))

    def write(prompts: list[list[int]], new: int) -> None:
        how, longest = genai.GeneratorParams(model), len(prompts[0]) + new
        how.set_search_options(max_length=longest, min_length=longest, batch_size=len(prompts), do_sample=False)
        writer = genai.Generator(model, how)
        writer.append_tokens(np.asarray(prompts, dtype=np.int32))
        for _ in range(new):
            writer.generate_next_token()
        if len(writer.get_sequence(0)) != longest:
            raise RuntimeError("onnxruntime-genai wrote another number of tokens than was asked for")

    return write
