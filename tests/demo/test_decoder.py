"""The decoder that comes along: small enough, of the pipeline's own tokenizer, and it knows English as well as is said."""

from __future__ import annotations

import csv

from maskfork import load
from maskfork.demo import reviews_path
from maskfork.demo.models import decoder_path
from maskfork.measure.perplexity import perplexity


def test_the_decoder_is_what_its_card_says() -> None:
    folder = decoder_path()
    assert folder is not None
    assert (folder / "model.safetensors").stat().st_size <= 6_449_928
    model = load(folder)
    assert sum(p.numel() for p in model.parameters()) == 3_221_952
    assert "3,221,952 parameters" in (folder / "README.md").read_text("utf-8")
    with reviews_path().open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)][:40]
    assert perplexity(model, texts).bits_per_byte < 2.12  # 2.06 over 200 of them; the one before had 2.15
