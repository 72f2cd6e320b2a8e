"""A tokenizer from a folder or a file. What a bare vocabulary leaves open is decided by its content and said in `notes`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers import frames, ranks, sentencepiece
from maskfork.models.tokenizers.face import Tokenizer
from maskfork.models.tokenizers.frames import Frame
from maskfork.models.tokenizers.llama2c import read_llama2c
from maskfork.models.tokenizers.recognise import READS, Source, find, recognise

OWN_CLASS = "PreTrainedTokenizerFast"  # what reads a tokenizer.json as it is, and builds nothing of its own
_ITS_CLASS_READS = frozenset({
    "tokenizer_class", "auto_map", "tokenizer_file", "add_bos_token", "add_eos_token", "add_prefix_space", "legacy", "from_slow",
    "sp_model_kwargs", "use_fast", "vocab_file", "merges_file",
})  # fmt: skip
EXTRA_IDS = 100  # T5's sentinels, which are not in its .model
_QWEN = ranks.ENCODINGS[-1]


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds a tokenizer that can be read here."""
    return find(folder) is not None


def load_tokenizer(where: str | Path) -> Tokenizer:
    """From a folder or one of its files, known by its content. `notes` says what was decided.

    Raises TokenizerError with the cause and the cure.
    """
    path = Path(where).expanduser()
    if not path.exists():
        raise TokenizerError(f"there is no tokenizer at {path}: give a folder with {READS}")
    file = find(path) if path.is_dir() else path
    if file is None:
        raise TokenizerError(f"{path} has no tokenizer: put {READS} there")
    config = _config(file.parent)
    try:
        source = recognise(file)
        if source.kind == "tokenizer.json":
            return Tokenizer(tokenizers.Tokenizer.from_buffer(source.data), config)
        return _read(source, config)
    except TokenizerError as error:
        raise TokenizerError(str(error) if str(file) in str(error) else f"{file}: {error}") from error
    except OSError as error:
        raise TokenizerError(f"{file} cannot be read ({error.strerror}): check its permissions") from error
    except Exception as error:  # the library raises bare Exception with the parser's words
        raise TokenizerError(f"{file} cannot be read as a tokenizer ({error}): download it again") from error


def _read(source: Source, config: dict[str, Any]) -> Tokenizer:
    name = source.file.name
    match source.kind:
        case "wordpiece":
            return _word_piece(source, config)
        case "bpe":
            return _byte_bpe(source, config)
        case "ranks":
            table = ranks.read_ranks(source.data)
            encoding, said = ranks.choose(table, name)
            inner = ranks.build(table, encoding)
            end = next(iter(encoding.special), None)
            named = {} if end is None else {"bos_token": encoding.begins or end, "eos_token": end}
            if encoding.begins is not None:
                named["eos_token"] = "<|end_of_text|>"
            return _made(inner, config, named, "bpe", [f"{name}: {said}"])
        case "llama2c":
            return _sentencepiece(read_llama2c(source.data), source, config, "llama2.c's tokenizer.bin, a SentencePiece")
    return _sentencepiece(sentencepiece.read_model(source.data), source, config, "a SentencePiece")


def _made(
    inner: tokenizers.Tokenizer, config: dict[str, Any], named: dict[str, str], kind: str, notes: list[str], **more: Any
) -> Tokenizer:
    """The names in the folder's config win over those of the content; its class, which might build its own, does not."""
    kept = {key: value for key, value in config.items() if key not in _ITS_CLASS_READS}
    return Tokenizer(inner, {**named, **more, **kept, "tokenizer_class": OWN_CLASS}, kind, notes)


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        file = folder / name
        if file.is_file():
            try:
                config.update(json.loads(file.read_text("utf-8")))
            except (ValueError, TypeError) as error:
                raise TokenizerError(f"{file} is no JSON object ({error}): download it again, or delete it") from error
    template = folder / "chat_template.jinja"
    if template.is_file():  # where newer folders keep it
        config["chat_template"] = template.read_text("utf-8")
    return config


def _word_piece(source: Source, config: dict[str, Any]) -> Tokenizer:
    """BERT's: its own normaliser, words and punctuation apart, [CLS] a [SEP] b [SEP]; or MPNet's with RoBERTa's tokens."""
    lines = source.data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    words = {line: i for i, line in enumerate(lines) if line}
    unknown = next((t for t in ("[UNK]", "<unk>") if t in words), None)
    if unknown is None:
        raise TokenizerError("it has no [UNK] token, so it is no WordPiece vocabulary: give tokenizer.json instead")
    capitals = sum(w != w.lower() for w in words if not w.startswith(("[", "<")))
    lower = bool(config.get("do_lower_case", capitals * 100 <= len(words)))  # a few are in the vocabularies of either kind
    inner = tokenizers.Tokenizer(models.WordPiece(words, unk_token=unknown, max_input_chars_per_word=100))
    inner.normalizer = normalizers.BertNormalizer(
        lowercase=lower,
        strip_accents=config.get("strip_accents"),
        handle_chinese_chars=bool(config.get("tokenize_chinese_chars", True)),
    )
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    frame = _framed(inner)
    said = "" if frame is not None else "; no special tokens around a text, since it has neither [CLS] and [SEP] nor <s> and </s>"
    why = f"{capitals:,} of {len(words):,} tokens have capitals"
    if "do_lower_case" in config:
        why = "tokenizer_config.json says so"
    notes = [f"{source.file.name}: read as WordPiece, {'lower-cased' if lower else 'cased'} ({why}){said}"]
    if frame is None:
        inner.add_special_tokens([unknown])
    named = {**frames.known_names(inner, frame or Frame("", "", {})), "unk_token": unknown}
    return _made(inner, config, named, "wordpiece", notes, do_lower_case=lower)


def _byte_bpe(source: Source, config: dict[str, Any]) -> Tokenizer:
    """GPT-2's: bytes as characters, its own word pattern. RoBERTa's and DeBERTa's have special tokens around a text."""
    table: dict[str, int] = source.table
    assert source.merges is not None
    if "Ġ" not in table and not any(t.startswith("Ġ") for t in table):
        return _word_ends(source, config)
    inner = tokenizers.Tokenizer(models.BPE(table, _merges(source.merges)))
    prefix = bool(config.get("add_prefix_space", False))
    qwen = str(config.get("tokenizer_class", "")).startswith("Qwen2") or len(table) == _QWEN.special["<|endoftext|>"]
    if qwen:
        inner.normalizer = normalizers.NFC()
        inner.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(_QWEN.pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False),
        ])  # fmt: skip
    else:
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.ByteLevel(trim_offsets=False)
    frame = _framed(inner)
    like = "RoBERTa's special tokens" if frame is frames.ROBERTA else "BERT's special tokens" if frame else "no special tokens"
    words = "Qwen's" if qwen else "GPT-2's"
    for token, told in (config.get("added_tokens_decoder") or {}).items():
        if isinstance(told, dict) and inner.token_to_id(told.get("content", "")) in (None, int(token)):
            inner.add_special_tokens([told["content"]]) if told.get("special") else inner.add_tokens([told["content"]])
    if frame is None:
        frames.add_special(inner, frames.GPT2)
    notes = [f"{source.file.name}: read as byte-level BPE with {words} word pattern and {like} around a text"]
    return _made(inner, config, frames.known_names(inner, frame or frames.GPT2), "bpe", notes)


def _word_ends(source: Source, config: dict[str, Any]) -> Tokenizer:
    """The first GPT's: letters, words lower-cased and apart, the end of a word marked with </w>."""
    table: dict[str, int] = source.table
    if not any(t.endswith("</w>") for t in table) or "<|startoftext|>" in table:
        raise TokenizerError("its tokens are neither byte-level (Ġ) nor the first GPT's (</w>): give tokenizer.json instead")
    assert source.merges is not None
    unknown = "<unk>" if "<unk>" in table else None
    inner = tokenizers.Tokenizer(models.BPE(table, _merges(source.merges), unk_token=unknown, end_of_word_suffix="</w>"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.BPEDecoder(suffix="</w>")
    if unknown:
        inner.add_special_tokens([unknown])
    notes = [f"{source.file.name}: read as the first GPT's BPE, lower-cased, with </w> at the end of words"]
    return _made(inner, config, {"unk_token": unknown} if unknown else {}, "bpe", notes)


def _merges(file: Path) -> list[tuple[str, str]]:
    """Pairs, one a line; a first line that begins with #version, and what is empty, is none."""
    found: list[tuple[str, str]] = []
    for number, line in enumerate(file.read_text("utf-8").split("\n"), 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.rstrip("\r").partition(" ")
        if not right or " " in right:
            raise TokenizerError(f"line {number} of {file} is no merge of two tokens: download it again")
        found.append((left, right))
    return found


def _framed(inner: tokenizers.Tokenizer) -> Frame | None:
    """Put the special tokens that a vocabulary has around its texts: <s> a </s></s> b </s>, or [CLS] a [SEP] b [SEP]."""
    for frame in (frames.ROBERTA, frames.BERT):
        if all(inner.token_to_id(frame.named[name]) is not None for name in ("cls", "sep")):
            frames.put_around_bytes(inner, frame)
            # What is masked may begin with a space, which a mask stands for too; BERT's words have no spaces.
            greedy = not isinstance(inner.model, models.WordPiece) or frame is frames.ROBERTA
            frames.add_special(inner, frame, greedy_mask=greedy)
            return frame
    return None


def _sentencepiece(model: sentencepiece.SpmModel, source: Source, config: dict[str, Any], what: str) -> Tokenizer:
    """With the special tokens of the family whose pieces these are: T5's, Llama's, ALBERT's, XLNet's, Gemma's, XLM-R's."""
    have = [p.text for p in model.pieces]
    kind = "bpe" if model.model_type == 2 else "unigram"
    said: list[str] = []
    moved = source.file.name == "sentencepiece.bpe.model" and have[:3] == ["<unk>", "<s>", "</s>"]
    inner, told = sentencepiece.build(sentencepiece.fairseq(model) if moved else model)
    if moved:
        frame, family = frames.ROBERTA, "XLM-RoBERTa's ids (four special tokens first, <mask> last)"
    elif have[:3] == ["<pad>", "</s>", "<unk>"]:
        frame, family = frames.T5, "T5's </s> after a text"
        if not any("<extra_id_0>" in t for t in have):
            inner.add_special_tokens([f"<extra_id_{i}>" for i in reversed(range(EXTRA_IDS))])
            family += f" and its {EXTRA_IDS} sentinels <extra_id_0> ..."
    elif {"[CLS]", "[SEP]"} <= set(have):
        frame, family = frames.BERT, "[CLS] and [SEP] around a text"
        if "[MASK]" not in have:
            inner.add_special_tokens(["[MASK]"])
    elif {"<cls>", "<sep>"} <= set(have):
        frame, family = frames.XLNET, "XLNet's <sep> <cls> after a text"
    elif {"<bos>", "<eos>"} <= set(have):
        frame, family = frames.GEMMA, "Gemma's <bos> before a text"
    elif model.byte_fallback and kind == "bpe" and {"<s>", "</s>"} <= set(have):
        frame, family = frames.LLAMA, "Llama's <s> before a text"
        if config.get("add_bos_token") is False:
            frame, family = frames.BARE, "no special tokens around a text (tokenizer_config.json says so)"
    else:
        frame, family = frames.BARE, "no special tokens around a text"
    if frame is not frames.BARE:
        frames.put_around(inner, frame)
    frames.add_special(inner, frame, greedy_mask=frame is frames.ROBERTA)
    said.append(f"{source.file.name}: read as {what} {'BPE' if kind == 'bpe' else 'Unigram'} with {family}")
    notes = [*said, *(f"{source.file.name}: {note}" for note in told)]
    return _made(inner, config, frames.known_names(inner, frame), kind, notes)
