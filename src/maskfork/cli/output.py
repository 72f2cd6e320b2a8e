"""What a verb says and where: results on stdout (for people, or as JSON with `--json`), notes and progress on stderr.

So `maskfork ... --json | jq .` works while the progress stays visible, and a drawing can be sent to a file.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from cyclopts import Parameter

from maskfork.errors import MaskforkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console, RenderableType

JsonFlag = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON on stdout.")]
"""The type of every verb's `json` parameter: `json: JsonFlag = False`."""


class Step(Protocol):
    """Moves a progress bar: `step(3)` says that three more units are done, `step(0, "epoch 2")` only renames it."""

    def __call__(self, done: float = 1, description: str | None = None) -> None: ...


def emit_json(value: Any) -> None:
    """Write `value` to stdout as one JSON document; structs, dataclasses, arrays and paths included, NaN as null."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=2).decode()
    sys.stdout.write(text + "\n")


def emit(value: RenderableType) -> None:
    """Write text or any rich renderable to stdout; plain text stays exactly as it is."""
    if isinstance(value, str):
        sys.stdout.write(value if value.endswith("\n") else value + "\n")
    else:
        _console(stderr=False).print(value)


def say(sentence: str) -> None:
    """A note to the person who is waiting, on stderr."""
    sys.stderr.write(sentence.rstrip("\n") + "\n")
    sys.stderr.flush()


def refuse_input(out: Path | None, option: str, *read: Path | None) -> None:
    """Raises UsageError where a file that is to be written is one of those that are read."""
    if out is not None and any(one is not None and out.resolve() == one.resolve() for one in read):
        raise UsageError(f"{out} is the file that is read: name another one with {option}")


def notes_console() -> Console:
    """The rich console for notes, live tables and progress: stderr."""
    return _console(stderr=True)


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Step]:
    """A bar with the time left, on stderr, drawn only where stderr is a terminal.

    Yields a `Step`. `total` None draws a bar without an end.
    """
    from rich import progress as rich

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
    )
    console = notes_console()
    with rich.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)

        def step(done: float = 1, description: str | None = None) -> None:
            if description is not None:
                bar.update(task, description=description)
            bar.advance(task, done)

        yield step


@contextmanager
def share_of(description: str) -> Iterator[Callable[[float, str], None]]:
    """The same for work that says how much of it is done, a share in [0, 1], and what it is doing."""
    with progress(description, 100) as step:
        before = 0.0

        def moved(share: float, words: str) -> None:
            nonlocal before
            step(100 * share - before, words)
            before = 100 * share

        yield moved


def fail(error: MaskforkError, *, as_json: bool) -> int:
    """Print a user's error as one sentence (or as JSON on stdout) and return the exit code."""
    sentence = " ".join(str(error).split())
    if as_json:
        emit_json({"error": sentence, "kind": type(error).__name__, "exit_code": error.exit_code})
    else:
        say(f"maskfork: {sentence}")
    return error.exit_code


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=not (sys.stderr if stderr else sys.stdout).isatty())


def _plain(value: Any) -> Any:
    """Arrays, numpy scalars and paths as plain values; msgspec asks here for what it does not know."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__fspath__"):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
