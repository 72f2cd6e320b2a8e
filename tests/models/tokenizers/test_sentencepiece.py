"""SentencePiece's models against the sentencepiece package: the same ids for whatever text."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import normalizers

from maskfork import load_tokenizer
from maskfork.errors import TokenizerError
from maskfork.models.tokenizers.sentencepiece import PieceType, read_model
from maskfork.models.tokenizers.sentencepiece.charsmap import charsmap_normalizers, rules
from maskfork.models.tokenizers.sentencepiece.proto import read_normalizer
from tests.models.tokenizers.texts import odd_texts

sentencepiece = pytest.importorskip("sentencepiece")

SHAPES: dict[str, dict[str, Any]] = {
    "unigram": {},
    "case-folded": {"normalization_rule_name": "nmt_nfkc_cf"},
    "bytes": {"byte_fallback": True, "normalization_rule_name": "nfkc"},
    "blanks kept": {"remove_extra_whitespaces": False, "normalization_rule_name": "identity"},
    "no prefix": {"add_dummy_prefix": False},
    "across words": {"split_by_whitespace": False},
    "own symbols": {"user_defined_symbols": ["<sep>", "xy", "▁▁"], "remove_extra_whitespaces": False},
    "bpe": {"model_type": "bpe"},
    "bpe bytes": {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity",
                  "remove_extra_whitespaces": False, "split_digits": True},
    "bpe own symbols": {"model_type": "bpe", "user_defined_symbols": ["<sep>", "the", "lo"]},
    "bpe suffix": {"model_type": "bpe", "treat_whitespace_as_suffix": True},
    "letters": {"model_type": "char"},
}  # fmt: skip
TEXT = [
    "the cat sat on the mat and the dog lay low, lower, lowest; newest and widest of them all.",
    "Ünïcødé naïve café 東京 カタカナ ｶﾞ 각 ﬁne ①½ हिन्दी <sep> 12345 été, don't you think so?",
    "what one would know of another, one must ask of the other: that is the whole of the matter.",
] * 6


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("spm")

    def make(**shape: Any) -> Path:
        held = io.BytesIO()
        settings = {"vocab_size": 330, "hard_vocab_limit": False, "minloglevel": 2, "num_threads": 1, **shape}
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXT), model_writer=held, **settings)
        file = folder / f"{len(list(folder.iterdir()))}.model"
        file.write_bytes(held.getvalue())
        return file

    return make


def compare(file: Path, count: int, seed: int = 0) -> list[tuple[str, list[int], list[int]]]:
    """What differs, ties of a Unigram aside: SentencePiece's sums are of 32 bits, and rounding decides between equals."""
    model = read_model(file.read_bytes())
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(file))
    ours = load_tokenizer(file)
    pieces = [p.text.replace("▁", " ") for p in model.pieces if p.type in (PieceType.NORMAL, PieceType.USER_DEFINED)]
    scores = {p.text: p.score for p in model.pieces}
    differ = []
    for text in odd_texts(random.Random(seed), count, pieces):
        a, b = theirs.encode(text), ours.encode(text, special=False)
        if a == b:
            continue
        tied = abs(sum(scores[theirs.id_to_piece(i)] for i in a) - sum(scores[theirs.id_to_piece(i)] for i in b)) < 1e-4
        if not (tied and sorted(a) == sorted(b)):
            differ.append((text, a, b))
    return differ


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(made: Callable[..., Path], shape: str) -> None:
    assert compare(made(**SHAPES[shape]), 600)[:3] == []


@pytest.mark.parametrize("file", ["spm/test_model.model", "t5/spiece.model", "llama/tokenizer.model"])
def test_published(data_dir: Path, file: str) -> None:
    path = data_dir / "tokenizers" / file
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    assert compare(path, 2000)[:3] == []


@pytest.mark.slow
@pytest.mark.parametrize("file", ["spm/test_model.model", "t5/spiece.model", "llama/tokenizer.model"])
def test_published_at_length(data_dir: Path, file: str) -> None:
    path = data_dir / "tokenizers" / file
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    assert compare(path, 60_000, seed=1)[:3] == []


@pytest.mark.parametrize("name", ["nfkc", "nmt_nfkc", "nfkc_cf", "nmt_nfkc_cf"])
def test_rules_of_normalisation(name: str) -> None:
    """Nothing of the pipeline but its normaliser, on the rules' own strings with marks after them."""
    theirs = sentencepiece.SentencePieceNormalizer(
        rule_name=name, add_dummy_prefix=False, remove_extra_whitespaces=False, escape_whitespaces=False
    )
    charsmap = read_normalizer(theirs.serialized_model_proto())
    steps, exact = charsmap_normalizers(charsmap)
    assert exact
    ours = normalizers.Sequence(list(steps))
    known = rules(charsmap)
    rng = random.Random(0)
    keys = [*sorted(known.single), *rng.sample(sorted(known.composed), 20_000), *sorted(known.others)]
    for text in odd_texts(rng, 3000, keys):
        assert ours.normalize_str(text) == theirs.normalize(text), ascii(text)


def test_special_pieces_of_families(made: Callable[..., Path], tmp_path: Path) -> None:
    t5 = load_tokenizer(made(pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
    assert t5.encode("low")[-1] == t5.special("eos") == 1
    assert t5.id("<extra_id_0>") == t5.size - 1
    assert t5.id("<extra_id_99>") == t5.size - 100
    llama = load_tokenizer(made(**SHAPES["bpe bytes"]))
    assert llama.encode("low")[0] == llama.special("bos") == 1
    assert llama.decode(llama.encode("low 🦙\n")) == "low 🦙\n"
    albert = load_tokenizer(made(control_symbols=["[CLS]", "[SEP]", "[MASK]"]))
    assert [albert.token(i) for i in (albert.encode("low")[0], albert.encode("low")[-1])] == ["[CLS]", "[SEP]"]
    moved = tmp_path / "sentencepiece.bpe.model"
    moved.write_bytes(made().read_bytes())
    xlmr, plain = load_tokenizer(moved), load_tokenizer(made())
    assert [i - 1 for i in xlmr.encode("low lower", special=False)] == plain.encode("low lower", special=False)
    assert (xlmr.id("<s>"), xlmr.id("<pad>"), xlmr.id("</s>"), xlmr.id("<unk>"), xlmr.id("<mask>")) == (0, 1, 2, 3, xlmr.size - 1)


def test_the_reader_against_protobuf(made: Callable[..., Path]) -> None:
    pb = pytest.importorskip("sentencepiece.sentencepiece_model_pb2", reason="the package's own reader needs protobuf")
    for shape in ("own symbols", "bpe bytes", "bpe suffix"):
        data = made(**SHAPES[shape]).read_bytes()
        theirs, ours = pb.ModelProto(), read_model(data)
        theirs.ParseFromString(data)
        assert [(p.piece, p.score, p.type) for p in theirs.pieces] == [(p.text, p.score, p.type) for p in ours.pieces]
        rule, trained = theirs.normalizer_spec, theirs.trainer_spec
        assert (rule.name, rule.precompiled_charsmap) == (ours.normalizer, ours.charsmap)
        assert (rule.add_dummy_prefix, rule.remove_extra_whitespaces) == (ours.add_dummy_prefix, ours.remove_extra_whitespaces)
        assert (trained.model_type, trained.byte_fallback) == (ours.model_type, ours.byte_fallback)
        assert trained.treat_whitespace_as_suffix == ours.whitespace_as_suffix


def test_broken_files(made: Callable[..., Path]) -> None:
    data = made().read_bytes()
    for broken in (b"", b"\n", data[:-5], data[: len(data) // 2], b"\x0b\x00" + data, b"\xff" * 40):
        with pytest.raises(TokenizerError, match="no SentencePiece model"):
            read_model(broken)
    with pytest.raises(TokenizerError, match="normalisation rules cannot be read"):
        rules(struct.pack("<I", 1 << 30))
    word = made(model_type="word", vocab_size=40)
    with pytest.raises(TokenizerError, match="whole words"):
        load_tokenizer(word)
