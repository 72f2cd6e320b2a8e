"""CTranslate2 as a contender."""

from __future__ import annotations

from pathlib import Path

from benchmarks.support.apart import Write
from benchmarks.support.words import with_words

THREADS = 2
KINDS = {32: "float32", 16: "bfloat16", 8: "int8_float32"}


def ct2_folder(folder: Path, vocab: int) -> Path:
    """The benchmark's folder as CTranslate2 holds it in float32; written once."""
    out = folder / "ctranslate2"
    if not out.exists():
        from ctranslate2.converters import TransformersConverter

        with with_words(folder, vocab) as copy:
            TransformersConverter(str(copy)).convert(str(out))
    return out


def ct2_bits() -> list[int]:
    """The bits of weights that it multiplies quickly on this processor; what it has not is said."""
    import ctranslate2

    there = ctranslate2.get_supported_compute_types("cpu")
    for bits, kind in KINDS.items():
        if kind not in there:
            print(f"CTranslate2 takes no part in {bits} bits: it has no {kind} on this processor", flush=True)
    return [bits for bits, kind in KINDS.items() if kind in there]


def ct2_writer(folder: Path, bits: int) -> Write:
    import ctranslate2

    model = ctranslate2.Generator(str(folder), compute_type=KINDS[bits], intra_threads=THREADS)

    def write(prompts: list[list[int]], new: int) -> None:
        words = [[f"t{i}" for i in ids] for ids in prompts]
        found = model.generate_batch(words, max_length=new, min_length=new, sampling_topk=1, include_prompt_in_result=False)
        if any(len(one.sequences_ids[0]) != new for one in found):
            raise RuntimeError("CTranslate2 wrote another number of tokens than was asked for")

    return write
