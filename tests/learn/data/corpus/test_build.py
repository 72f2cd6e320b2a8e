"""What is built is what the tokenizer says of every document, whatever happened on the way."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from maskfork.errors import DataError
from maskfork.learn.data.corpus import Corpus, Reading, build_corpus
from maskfork.learn.data.corpus import build as building
from maskfork.learn.data.corpus import pieces as cutting
from maskfork.learn.data.corpus.pieces import Pieces
from maskfork.learn.data.corpus.shard import open_shard
from maskfork.learn.data.corpus.texts import Division, Part
from maskfork.models.tokenizers import Tokenizer, load_tokenizer
from tests.learn.data.corpus.small import KINDS, jsonl, texts, tokenizer


def assert_holds(corpus: Corpus, found: list[str], by: Tokenizer) -> None:
    """Every document's tokens and words are the tokenizer's own."""
    assert len(corpus) == len(found)
    for text, document in zip(found, corpus.documents(), strict=True):
        one = by.inner.encode(text, add_special_tokens=False)
        assert document.ids.tolist() == one.ids
        words = np.asarray(one.word_ids)
        assert document.begins.tolist() == [True, *(words[1:] != words[:-1]).tolist()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_and_every_word(tmp_path: Path, kind: str) -> None:
    found = [*texts(200), *texts(3, seed=5, longest=4000)]
    built = build_corpus([jsonl(tmp_path / "a.jsonl", found)], tokenizer(kind), tmp_path / "c", shard_tokens=3000)
    assert len(built.index["shards"]) > 3
    corpus = Corpus.open(tmp_path / "c")
    assert_holds(corpus, found, tokenizer(kind))
    assert corpus.tokens == built.index["tokens"] == sum(len(d.ids) for d in corpus.documents())
    assert built.index["bytes"] == sum(len(text.encode()) for text in found)
    assert_holds(corpus, found, corpus.tokenizer)  # the corpus brings its own


@pytest.mark.parametrize("kind", KINDS)
def test_long_documents_in_pieces_tokenise_as_the_whole(kind: str) -> None:
    by = tokenizer(kind)
    for text in ("\n\n".join(texts(200, seed=3)), " ".join(texts(300, seed=4)).replace("\n", " ")):
        pieces = list(Pieces(by, limit=500)(iter([(0, Part(text[:7000], False)), (0, Part(text[7000:], True))])))
        assert len(pieces) > 10
        assert not any(piece.rough for piece in pieces)
        assert [i for piece in pieces for i in by.encode(piece.text, special=False)] == by.encode(text, special=False)
        assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert sum(piece.size for piece in pieces) == len(text.encode())


def test_a_document_without_a_good_cut_or_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "FARTHEST", 4000)
    text = "x" * 20_000
    pieces = list(Pieces(tokenizer("bytes"), limit=500)(iter([(0, Part(text, True))])))
    assert "".join(p.text for p in pieces) == text
    assert any(p.rough for p in pieces)
    text = " ".join(texts(100, seed=2))
    pieces = list(Pieces(tokenizer("bytes"), limit=500, longest=3000)(iter([(0, Part(text, True))])))
    assert "".join(p.text for p in pieces) == text
    assert sum(p.split for p in pieces) == sum(p.last for p in pieces) - 1 > 3


def test_the_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", texts(300))
    contents = []
    for number, workers in enumerate((1, 3)):
        folder = tmp_path / str(number)
        build_corpus([file], tokenizer(), folder, shard_tokens=2000, workers=workers)
        contents.append({p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    assert contents[0] == contents[1]
    assert not any(name.startswith(".") or name == "plan.json" for name in contents[0])


def test_large_vocabularies_take_four_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = texts(20)
    monkeypatch.setattr(Tokenizer, "size", 70_000)
    build_corpus([jsonl(tmp_path / "a.jsonl", found)], tokenizer("bytes"), tmp_path / "c")
    corpus = Corpus.open(tmp_path / "c")
    assert corpus.ids(0).dtype == np.uint32
    assert_holds(corpus, found, tokenizer("bytes"))


def test_empty_documents_are_left_out_and_said(tmp_path: Path) -> None:
    found = ["one cat", "", "  ", "two dogs"]
    built = build_corpus([jsonl(tmp_path / "a.jsonl", found)], tokenizer(), tmp_path / "c")
    assert built.index["documents"] == 2
    assert "2 documents are empty: left out." in built.notes
    with pytest.raises(DataError, match=r"there is no text in b\.jsonl"):
        build_corpus([jsonl(tmp_path / "b.jsonl", ["", " "])], tokenizer(), tmp_path / "d")


BUILD = """
import sys
from maskfork.learn.data.corpus import build_corpus
from maskfork.models.tokenizers import load_tokenizer
build_corpus([sys.argv[1]], load_tokenizer(sys.argv[3]), sys.argv[2], shard_tokens=8000)
"""


def test_killed_at_any_time_the_next_run_finishes_the_same_corpus(tmp_path: Path) -> None:
    found = texts(2500, longest=120)
    file = jsonl(tmp_path / "a.jsonl", found)
    build_corpus([file], tokenizer(), tmp_path / "whole", shard_tokens=8000)
    expected = {p.name: p.read_bytes() for p in (tmp_path / "whole").iterdir() if p.is_file()}
    folder, saved = tmp_path / "killed", tokenizer().save(tmp_path / "saved")
    kills = 0
    for wanted in (1, 4, 9):
        process = subprocess.Popen([sys.executable, "-c", BUILD, str(file), str(folder), str(saved)])
        while process.poll() is None and len(list(folder.glob("shard-*"))) < wanted:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        if not (folder / "index.json").is_file():
            with pytest.raises(DataError, match="is not finished: run the same `maskfork corpus build` again"):
                Corpus.open(folder)
    assert kills
    built = build_corpus([file], tokenizer(), folder, shard_tokens=8000)
    assert built.reused > 0
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == expected


PEAK = """
import sys
from maskfork.learn.data.corpus import Reading, build_corpus
from maskfork.measure.memory import peak_memory_mb
from maskfork.models.tokenizers import load_tokenizer
build_corpus([sys.argv[1]], load_tokenizer(sys.argv[3]), sys.argv[2], Reading(sys.argv[4]), shard_tokens=1_000_000)
print(peak_memory_mb())
"""


@pytest.mark.slow
@pytest.mark.parametrize("division", ["file", "line"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, division: str) -> None:
    saved = tokenizer("bytes").save(tmp_path / "saved")
    peaks = []
    for number, times in enumerate((5, 20)):
        file = tmp_path / f"{number}.txt"
        file.write_text("\n".join(texts(5000, seed=8)) * times, "utf-8")
        words = [sys.executable, "-c", PEAK, str(file), str(tmp_path / f"c{number}"), str(saved), division]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout))
    assert peaks[1] < 1.35 * peaks[0]
    assert peaks[1] < 700


def test_a_finished_corpus_is_not_built_again(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", texts(50))
    first = build_corpus([file], tokenizer(), tmp_path / "c")
    before = (tmp_path / "c" / "shard-00000.safetensors").stat().st_mtime_ns
    again = build_corpus([file], tokenizer(), tmp_path / "c")
    assert again.index == first.index
    assert again.notes[-1] == f"{tmp_path / 'c'} is complete already."
    assert (tmp_path / "c" / "shard-00000.safetensors").stat().st_mtime_ns == before


def test_what_differs_is_refused_in_one_sentence(tmp_path: Path) -> None:
    one, two = jsonl(tmp_path / "a.jsonl", texts(50)), jsonl(tmp_path / "b.jsonl", texts(50, seed=1))
    folder = tmp_path / "c"
    build_corpus([one, two], tokenizer(), folder)

    def refused(said: str, files: list[Path], by: str = "wordpiece", division: Division = "file") -> None:
        with pytest.raises(DataError, match=said):
            build_corpus(files, tokenizer(by), folder, Reading(division))

    refused("was made with another tokenizer", [one, two], by="bytes")
    refused("was made with division 'file', and now it is 'line'", [one, two], division="line")
    refused(r"was made with b\.jsonl too", [one])
    refused("in another order", [two, one])
    refused(r"was made without d\.jsonl", [one, two, jsonl(tmp_path / "d.jsonl", ["x"])])
    jsonl(one, texts(51))
    refused(r"a\.jsonl has changed since", [one, two])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("mine")
    with pytest.raises(DataError, match="is there and is no corpus: name another folder"):
        build_corpus([two], tokenizer(), tmp_path / "other")


def test_torn_shards_are_found_and_made_anew(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", texts(300))
    folder = tmp_path / "c"
    build_corpus([file], tokenizer(), folder, shard_tokens=2000)
    shard = folder / "shard-00001.safetensors"
    good = shard.read_bytes()
    flipped = bytearray(good)
    flipped[-100] ^= 1
    for torn in (good[:-1], good[: len(good) // 2], b"", b"\0" * len(good), bytes(flipped), good + b"\0"):
        shard.write_bytes(torn)
        with pytest.raises(DataError, match=r"shard-00001\.safetensors is torn \(.*\): remove it and build the corpus again"):
            Corpus.open(folder)
    built = build_corpus([file], tokenizer(), folder, shard_tokens=2000)
    assert "shard-00001.safetensors is torn: made anew, and those after it." in built.notes
    assert shard.read_bytes() == good
    shard.unlink()
    with pytest.raises(DataError, match="is missing: build the corpus again"):
        Corpus.open(folder)
    build_corpus([file], tokenizer(), folder, shard_tokens=2000)
    shutil.copy(folder / "shard-00002.safetensors", shard)
    with pytest.raises(DataError, match="is of another corpus"):
        Corpus.open(folder)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("maskfork.learn.data.corpus.shard.save_tensors", full)
    with pytest.raises(DataError, match=r"cannot be written .*No space left.*: make room"):
        build_corpus([jsonl(tmp_path / "a.jsonl", texts(5))], tokenizer(), tmp_path / "c")
    monkeypatch.undo()
    build_corpus([tmp_path / "a.jsonl"], tokenizer(), tmp_path / "c")
    assert len(Corpus.open(tmp_path / "c")) == 5


def test_a_changed_tokenizer_folder_is_found(tmp_path: Path) -> None:
    build_corpus([jsonl(tmp_path / "a.jsonl", texts(5))], tokenizer(), tmp_path / "c")
    corpus = Corpus.open(tmp_path / "c")
    corpus.check(load_tokenizer(tmp_path / "c" / "tokenizer"))
    with pytest.raises(DataError, match="was made with another tokenizer"):
        corpus.check(tokenizer("bytes"))
    tokenizer("bytes").save(tmp_path / "c" / "tokenizer")
    with pytest.raises(DataError, match="is not the tokenizer that made this corpus"):
        _ = corpus.tokenizer


def test_progress_ends_at_one(tmp_path: Path) -> None:
    heard: list[float] = []
    build_corpus(
        [jsonl(tmp_path / "a.jsonl", texts(500, longest=300))], tokenizer(), tmp_path / "c",
        progress=lambda share, said: heard.append(share),
    )  # fmt: skip
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


def test_shards_are_plain_safetensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    built = build_corpus([jsonl(tmp_path / "a.jsonl", texts(30))], tokenizer(), tmp_path / "c")
    path = tmp_path / "c" / built.index["shards"][0]["name"]
    theirs, ours = load_file(path), open_shard(path)
    assert np.array_equal(theirs["ids"], ours.ids)
    assert np.array_equal(theirs["offsets"], ours.offsets)
    assert json.loads((tmp_path / "c" / "index.json").read_text())["documents"] == 30
    assert building.SHARD_TOKENS > 1_000_000


def test_real_text(data_dir: Path, tmp_path: Path) -> None:
    """wikitext by paragraphs and tiny shakespeare as one document, with GPT-2's kind of tokenizer."""
    by = tokenizer("bytes")
    file = data_dir / "lm" / "tinyshakespeare" / "input.txt"
    build_corpus([file], by, tmp_path / "c")
    corpus = Corpus.open(tmp_path / "c")
    assert len(corpus) == 1
    assert by.decode(corpus.ids(0).tolist()) == file.read_text("utf-8")
    build_corpus([data_dir / "lm" / "wikitext-2" / "valid.txt"], by, tmp_path / "w", Reading("line"))
    assert len(Corpus.open(tmp_path / "w")) > 2000


def test_building_loads_no_torch() -> None:
    code = "import sys; from maskfork.learn.data.corpus import Corpus, build_corpus; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
