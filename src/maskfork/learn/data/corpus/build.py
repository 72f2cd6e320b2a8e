"""Texts to a corpus on disk: tokenised once, in shards, going on where a run was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskfork.errors import DataError, UsageError
from maskfork.learn.data.corpus.collect import Gathering
from maskfork.learn.data.corpus.documents import DIVISIONS, Reading, read_documents
from maskfork.learn.data.corpus.encode import Encoder
from maskfork.learn.data.corpus.pieces import Piece, Pieces
from maskfork.learn.data.corpus.plan import INDEX, PLAN, Plan, compare_plans, make_plan, read_json, write_json
from maskfork.learn.data.corpus.shard import Shard, open_shard, shard_name, write_shard
from maskfork.learn.data.corpus.sources import Source, find_sources
from maskfork.models.tokenizers import Tokenizer

SHARD_TOKENS = 8_000_000
Progress = Callable[[float, str], object]


@dataclass(frozen=True)
class Built:
    """`index` is what the folder's index.json holds; `reused` shards were there already; `notes` say what was decided."""

    folder: Path
    index: dict[str, Any]
    reused: int = 0
    notes: list[str] = field(default_factory=list)


def build_corpus(
    files: Sequence[str | Path],
    tokenizer: Tokenizer,
    folder: str | Path,
    reading: Reading = Reading(),  # noqa: B008 (frozen)
    *,
    shard_tokens: int = SHARD_TOKENS,
    workers: int | None = None,
    progress: Progress = lambda share, said: None,
) -> Built:
    """Tokenise files, and folders of them, into `folder`.

    A run that was killed is taken up by the same call: shards that are whole stay. The same files, tokenizer and settings give
    the same bytes, with any number of workers (default: the cores). `progress(share, sentence)` hears how far it is.

    Raises DataError where files cannot be read, the disk is full, or the folder holds something else: another tokenizer's
    tokens, other files, other settings.
    """
    if shard_tokens < 1 or (workers is not None and workers < 1):
        raise UsageError("a shard holds at least one token, and there is at least one worker")
    folder = Path(folder).expanduser()
    sources, notes = find_sources(files)
    plan = make_plan(tokenizer, sources, reading, shard_tokens)
    notes += _decisions(sources, reading)
    _begin(folder, plan, tokenizer)
    whole, torn = _whole_shards(folder)
    notes += torn
    if (folder / INDEX).is_file() and not torn and len(whole) == len(read_json(folder / INDEX)["shards"]):
        return Built(folder, read_json(folder / INDEX), len(whole), [*notes, f"{folder} is complete already."])
    (folder / INDEX).unlink(missing_ok=True)
    if whole:
        notes.append(f"{len(whole)} shards with {sum(s.tokens for s in whole):,} tokens were there already.")
    for number in range(len(whole), len(list(folder.glob("shard-*.safetensors")))):
        (folder / shard_name(number)).unlink(missing_ok=True)
    for left in (*folder.glob(".shard-*"), *folder.glob(".tmp*")):  # of a run that was killed, safetensors' own too
        left.unlink(missing_ok=True)
    pieces = _after(Pieces(tokenizer)(read_documents(sources, reading)), whole)
    wide = tokenizer.size > 1 << 16
    said = [{"name": s.path.name, **s.said} for s in whole]
    total = max(sum(s.size for s in sources), 1)
    held, tokens, documents = Gathering(wide), sum(s.tokens for s in whole), sum(s.documents for s in whole)
    for one in Encoder(tokenizer).stream(pieces, workers):
        ended = held.add(one)
        if ended and held.tokens >= shard_tokens:
            said.append(_write(folder, len(said), held))
            tokens, documents, held = tokens + held.tokens, documents + len(held.hashes), Gathering(wide)
        progress(
            sum(s.progress[0] for s in sources) / total,
            f"{documents + len(held.hashes):,} documents, {tokens + held.tokens:,} tokens",
        )
    if held.hashes or held.empty:
        said.append(_write(folder, len(said), held))
    index = _index(plan, said)
    if not index["documents"]:
        raise DataError(
            f"there is no text in {sources[0].name}{' and the other files' if len(sources) > 1 else ''}: nothing to build"
        )
    write_json(folder / INDEX, index)
    (folder / PLAN).unlink(missing_ok=True)
    return Built(folder, index, len(whole), [*notes, *_findings(index)])


def _begin(folder: Path, plan: Plan, tokenizer: Tokenizer) -> None:
    """The folder is new, or of the same plan."""
    known = next((folder / name for name in (INDEX, PLAN) if (folder / name).is_file()), None)
    if known is not None:
        compare_plans(read_json(known), plan.data(), folder)
        return
    if folder.exists() and (not folder.is_dir() or any(not p.name.startswith(".plan.json") for p in folder.iterdir())):
        raise DataError(f"{folder} is there and is no corpus: name another folder with -o")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be made ({error.strerror}): name another folder with -o") from error
    write_json(folder / PLAN, plan.data())
    tokenizer.save(folder / "tokenizer")


def _whole_shards(folder: Path) -> tuple[list[Shard], list[str]]:
    """(shards from the first on that are whole, what to say of the first that is not)."""
    found: list[Shard] = []
    while (path := folder / shard_name(len(found))).is_file():
        try:
            shard = open_shard(path)
            shard.verify()
        except DataError:
            return found, [f"{path.name} is torn: made anew, and those after it."]
        found.append(shard)
    return found, []


def _after(pieces: Iterator[Piece], shards: Sequence[Shard]) -> Iterator[Piece]:
    """The pieces of documents that no shard holds yet."""
    skip = sum(shard.documents + int(shard.said["empty"]) for shard in shards)
    for piece in pieces:
        if skip <= 0:
            yield piece
        elif piece.last:
            skip -= 1


def _write(folder: Path, number: int, held: Gathering) -> dict[str, Any]:
    path = folder / shard_name(number)
    return {"name": path.name, **write_shard(path, held.parts(), held.said())}


def _index(plan: Plan, shards: list[dict[str, Any]]) -> dict[str, Any]:
    sums = {name: sum(int(s[name]) for s in shards) for name in ("documents", "tokens", "bytes", "empty", "rough", "split")}
    per_source = [sum(int(s["per_source"].get(str(number), 0)) for s in shards) for number in range(len(plan.sources))]
    sources = [{**source, "documents": count} for source, count in zip(plan.sources, per_source, strict=True)]
    kept = [{key: s[key] for key in sorted(s) if key != "per_source"} for s in shards]
    return {
        **plan.data(),
        **sums,
        "dtype": "uint32" if plan.vocabulary > 1 << 16 else "uint16",
        "counts": sources,
        "shards": kept,
    }


def _decisions(sources: Sequence[Source], reading: Reading) -> list[str]:
    notes = []
    texts = sum(s.kind == "text" for s in sources)
    if texts:
        others = " or ".join(name for name in DIVISIONS if name != reading.division)
        what = f"{texts:,} text files: each" if texts > 1 else f"{sources[0].name if len(sources) == 1 else 'The text file'}"
        notes.append(f"{what} {DIVISIONS[reading.division]} (--documents {others} divides otherwise).")
    return notes


def _findings(index: dict[str, Any]) -> list[str]:
    notes = []
    if index["empty"]:
        notes.append(f"{index['empty']:,} documents are empty: left out.")
    if index["split"]:
        notes.append(f"{index['split']:,} times a document was too long and was ended at a space; what follows is the next.")
    if index["rough"]:
        notes.append(f"{index['rough']:,} cuts inside long documents may differ by a token from the whole text's tokens.")
    if index["documents"] == 1:
        notes.append("It is one document: hold out its end (Corpus.cut), or divide it with --documents paragraph.")
    return notes
