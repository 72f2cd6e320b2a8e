"""Every kind of file: known by its content, written as what transformers reads with the same ids, refused with a cure."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path

import pytest

from maskfork import load_tokenizer
from maskfork.errors import TokenizerError
from maskfork.models.tokenizers import Tokenizer, ranks, train_tokenizer
from maskfork.models.tokenizers.letters import LETTER_BYTES
from tests.models.tokenizers.texts import odd_texts

TEXT = "the cat sat on the mat and the dog lay low, lower, lowest; Newest and widest of them all, don't you think? 123 été\n" * 4
FAMILIES = ("bert", "roberta", "gpt2", "t5", "llama", "xlnet", "albert", "modernbert", "xlm-roberta")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text(TEXT, "utf-8")
    return file


@pytest.fixture(scope="module")
def gpt2(text: Path) -> Tokenizer:
    return train_tokenizer([text], vocab_size=300, family="gpt2")


def as_two_files(tokenizer: Tokenizer, folder: Path, vocabulary: str = "vocab.json", merges: str = "merges.txt") -> Path:
    model = json.loads(tokenizer.inner.to_str())["model"]
    (folder / vocabulary).write_text(json.dumps(model["vocab"]), "utf-8")
    (folder / merges).write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in model["merges"]), "utf-8")
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_reads_what_is_saved(text: Path, tmp_path: Path, family: str) -> None:
    transformers = pytest.importorskip("transformers")
    ours = train_tokenizer([text], vocab_size=400, family=family)
    theirs = transformers.AutoTokenizer.from_pretrained(str(ours.save(tmp_path / "saved")))
    again = load_tokenizer(tmp_path / "saved")
    special = ["<s>", "</s>", "[MASK]", "<mask>", "<extra_id_3>", "<|endoftext|>", "the cat "]
    for one in odd_texts(random.Random(1), 200, special):
        ids = ours.encode(one)
        assert ids == theirs(one)["input_ids"] == again.encode(one), ascii(one)
        assert ours.encode(one, special=False) == theirs(one, add_special_tokens=False)["input_ids"]
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        pair = ours.encode_many([one + "a"], ["the dog"])[0]
        assert pair.ids == theirs(one + "a", "the dog")["input_ids"]
    for name in ("pad", "mask", "eos", "bos", "cls", "sep", "unk"):
        assert ours.special(name) == getattr(theirs, f"{name}_token_id"), name


def test_the_two_files_of_a_byte_level_bpe(gpt2: Tokenizer, tmp_path: Path) -> None:
    folder = as_two_files(gpt2, tmp_path)
    for where in (folder, folder / "vocab.json", folder / "merges.txt"):
        read = load_tokenizer(where)
        assert [read.encode(t) for t in odd_texts(random.Random(2), 60)] == [
            gpt2.encode(t) for t in odd_texts(random.Random(2), 60)
        ]
    assert read.special("eos") == gpt2.id("<|endoftext|>")


def test_roberta_is_told_by_its_tokens(text: Path, tmp_path: Path) -> None:
    made = train_tokenizer([text], vocab_size=300, family="roberta")
    read = load_tokenizer(as_two_files(made, tmp_path, "encoder.json", "vocab.bpe"))
    assert "RoBERTa's special tokens" in read.notes[0]
    assert read.encode("low <mask> cat") == made.encode("low <mask> cat")


def test_ranks_of_a_vocabulary_are_its_merges(gpt2: Tokenizer, tmp_path: Path) -> None:
    plain = [t for t, _ in sorted(gpt2.inner.get_vocab().items(), key=lambda x: x[1]) if t != "<|endoftext|>"]
    rows = [(bytes(LETTER_BYTES[c] for c in token), rank) for rank, token in enumerate(plain)]
    file = tmp_path / "r50k_own.tiktoken"
    file.write_bytes(b"".join(base64.b64encode(t) + b" %d\n" % r for t, r in rows))
    read = load_tokenizer(file)
    assert "the word pattern of gpt2, which the file's name says" in read.notes[0]
    for one in odd_texts(random.Random(2), 200):
        assert [read.token(i) for i in read.encode(one)] == [gpt2.token(i) for i in gpt2.encode(one)], ascii(one)
    (tmp_path / "own.tiktoken").write_bytes(file.read_bytes())
    assert "no encoding known here" in load_tokenizer(tmp_path / "own.tiktoken").notes[0]


@pytest.mark.parametrize("name", ["gpt2", "cl100k", "o200k"])
def test_ranks_against_tiktoken(data_dir: Path, name: str) -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="the original is not a dependency")
    file = data_dir / "tokenizers/tiktoken/gpt2.tiktoken"
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    encoding = next(e for e in ranks.ENCODINGS if e.name == name)
    table = ranks.read_ranks(file.read_bytes())
    ours = ranks.build(table, ranks.Encoding(name, encoding.pattern))
    theirs = tiktoken.Encoding("theirs", pat_str=encoding.pattern, mergeable_ranks=table, special_tokens={})
    words = [t.decode("utf-8", "replace") for t in list(table)[::50]]
    for one in odd_texts(random.Random(4), 1500, words):
        assert ours.encode(one).ids == theirs.encode_ordinary(one), ascii(one)


def test_special_tokens_of_the_known_encodings() -> None:
    known = {e.name: e for e in ranks.ENCODINGS}
    assert known["cl100k"].special["<|endoftext|>"] == 100257
    assert known["o200k"].special["<|endofprompt|>"] == 200018
    llama = known["llama3"].special
    assert len(llama) == 256
    assert (llama["<|begin_of_text|>"], llama["<|eot_id|>"]) == (128000, 128009)
    assert llama["<|reserved_special_token_0|>"] == 128002
    assert llama["<|reserved_special_token_250|>"] == 128255


def test_case_is_told_by_content_and_by_config(tmp_path: Path) -> None:
    file = tmp_path / "anything.txt"
    file.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "##s", "ℝ"]), "utf-8")
    lower = load_tokenizer(file)
    assert [lower.token(i) for i in lower.encode("Hellos ℝ")] == ["[CLS]", "hello", "##s", "ℝ", "[SEP]"]
    file.write_text(file.read_text("utf-8") + "\nHello\nWorld", "utf-8")
    assert [load_tokenizer(file).token(i) for i in load_tokenizer(file).encode("Hello", special=False)] == ["Hello"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    told = load_tokenizer(file)
    assert [told.token(i) for i in told.encode("Hello", special=False)] == ["hello"]
    assert "tokenizer_config.json says so" in told.notes[0]
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_tokenizer(file).inner.get_vocab() == told.inner.get_vocab()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.json", None, "there is no tokenizer"),
        ("empty.txt", b"", "is empty"),
        ("a.gguf", b"GGUF\x03\x00", "GGUF"),
        ("a.json", b'{"a": ', "no complete JSON"),
        ("a.json", b'{"a": "b"}', "no tokenizer"),
        ("vocab.json", b'{"a": 0}', "put merges.txt beside it"),
        ("encoder.json", b'{"a": 0}', "put vocab.bpe beside it"),
        ("merges.txt", b"#version: 0.2\na b\n", "put vocab.json"),
        ("a.txt", b"some\nwords\n", "no vocabulary that is known"),
        ("a.bin", b"\x00\x01\x02\x03" * 20, "no vocabulary that is known"),
        ("a.model", b"\n\x0e\n\x05<unk>", "no SentencePiece model"),
        ("a.tiktoken", b"IQ== 0\nIg== 1\n", "lack the byte 0"),
        ("a.tiktoken", b"IQ== 0\nIg== 1\nIw== 2\n?? x\n", "line 4"),
        ("tokenizer.json", b'{"model": {"type": "Odd"}}', "cannot be read as a tokenizer"),
    ],
)
def test_what_is_none_is_refused_in_one_sentence(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TokenizerError, match=says) as caught:
        load_tokenizer(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_without_one(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="has no tokenizer"):
        load_tokenizer(tmp_path)
