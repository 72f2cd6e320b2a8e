"""Verbs of several jobs, as `maskfork corpus build`: what is said where none, or none of them, is named."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn

from maskfork.errors import UsageError


def refuse_job(verb: str, word: str | None, jobs: Sequence[str]) -> NoReturn:
    """Raises UsageError that names the jobs, or the nearest."""
    if word is None:
        raise UsageError(f"say what to do: maskfork {verb} {' | '.join(jobs)}")
    near = get_close_matches(word, jobs, n=1, cutoff=0.5)
    raise UsageError(f"a {verb} cannot {word!r}: " + (f"did you mean {near[0]}?" if near else f"choose {', '.join(jobs)}"))
