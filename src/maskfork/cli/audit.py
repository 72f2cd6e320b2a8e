"""`maskfork audit`: what is wrong with labelled rows, before anything is trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json, notes_console, progress, refuse_input, say
from maskfork.cli.where import model_place
from maskfork.errors import DataError, UsageError

if TYPE_CHECKING:
    from maskfork.learn.data.audit.length import Count
    from maskfork.learn.tasks.probe import Embedder


def audit(
    data: Path,
    /,
    *,
    test: Path | None = None,
    model: str | None = None,
    text: str | None = None,
    label: str | None = None,
    pair: str | None = None,
    html: Path | None = None,
    fix: Path | None = None,
    rows: int = 5,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Say what is wrong with a data set: copies, leaks, contradicting and doubtful labels, broken and long texts, outliers.

    DATA is never changed. Each finding says which rows (counted from 1, without the header) and what to do.

    Parameters
    ----------
    data
        A csv, tsv, JSON lines, JSON or parquet file, with labels or without.
    test
        The file of the test rows: what leaks from it into train is found. A column that names splits does the same.
    model
        A model folder or Hub id: texts are held against its limit in its own tokens, and an encoder's vectors help to doubt
        labels and to find outliers. Without it tokens are estimated, against a limit of 512, and n-grams do the doubting.
    text
        The column of the texts (found by itself where there is no doubt).
    label
        The column of the labels.
    pair
        The column of the second texts; none for one text a row.
    html
        Write the findings as a page of their own, which loads nothing.
    fix
        Write a cleaned copy of DATA here (csv, tsv, jsonl or parquet): rows without a text, copies, leaks and texts with
        contradicting labels go to a file beside it with the reason; labels that are probably wrong stay and are flagged.
    rows
        Rows of each finding that the terminal shows; --json and --html have them all.
    """
    if rows < 0:
        raise UsageError(f"--rows is how many rows of a finding are shown, 0 or more, not {rows}")
    refuse_input(fix, "--fix", data, test)
    refuse_input(html, "--html", data, test)
    import msgspec

    if fix is not None:
        from maskfork.learn.data.write import check_ending

        check_ending(fix)
        if test is not None and test.name == data.name:
            raise UsageError(f"--fix tells rows by the names of their files: call {data} and {test} differently")
    from maskfork.learn.data.audit.length import USUAL, estimate
    from maskfork.learn.data.audit.material import read_material
    from maskfork.learn.data.audit.run import audit as look

    material = read_material(data, test, text=text, label=label, pair=pair)
    encoder, count, limit = (None, estimate, USUAL) if model is None else _model(model)
    with progress("audit", 100) as step:
        done = 0.0

        def move(share: float, what: str) -> None:
            nonlocal done
            step(100 * (share - done), what)
            done = share

        found = look(material, encoder=encoder, count=count, limit=limit, model=model, progress=move)
    report = msgspec.to_builtins(found)
    if fix is not None:
        from maskfork.learn.data.audit.fix import decide, write_fixed
        from maskfork.learn.data.nested import restored
        from maskfork.learn.data.read import read_table

        frame = restored(read_table(data, [name for name in (text, label, pair) if name]))
        fixed = decide(found, data.name, frame.height)
        written = write_fixed(frame, fixed, fix)
        say(f"{fixed.sentence()}: {', '.join(str(path) for path in written)}")
    if html is not None:
        from maskfork.view.audit.page import write_audit_html

        try:
            write_audit_html(report, html)
        except OSError as error:
            raise DataError(f"the page {html} cannot be written ({error.strerror}): name another file") from error
        say(f"the page is in {html}")
    if json:
        emit_json(report)
        return
    from maskfork.view.audit.terminal import audit_text

    emit(audit_text(report, notes_console().width, rows))


def _model(name: str) -> tuple[Embedder | None, Count, int]:
    """Vectors of an encoder (None of a model that writes), how its tokenizer counts, and its limit."""
    from maskfork.learn.data.audit.length import USUAL, token_counter
    from maskfork.learn.tasks.probe import Embedder
    from maskfork.models.device import best_device
    from maskfork.models.encode import limit_of
    from maskfork.models.hub import load

    loaded = load(model_place(name), "none").to(best_device())
    limit = limit_of(loaded, None)
    if loaded.spec.fork != "encoder":
        say(f"{name} is no encoder, so n-grams do the doubting; its tokens are counted")
        return None, token_counter(loaded), limit or USUAL
    return Embedder(loaded), token_counter(loaded), limit or USUAL
