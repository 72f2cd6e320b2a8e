"""How long an endpoint is borne with: tries and waits, answers after which no call can succeed, rows that fail in a row."""

from __future__ import annotations

from dataclasses import dataclass

from maskfork.prompt.teachers.pace import retry_after
from maskfork.prompt.teachers.reply import Trouble

LONGEST_PAUSE = 300.0  # an endpoint that asks for more (a daily allowance) ends the run instead
FAILED_ROWS_IN_A_ROW = 10

_CURES = {
    "denied": "correct the key or its account",
    "wrong": "correct the address, the model's name or the key",
}


@dataclass(frozen=True)
class Patience:
    """Tries after the first, and the bounds of the waits between them in seconds."""

    retries: int
    base: float
    cap: float


def hopeless(trouble: Trouble, attempt: int, retries: int, *, reached: bool) -> str | None:
    """Why no call can succeed, after so many attempts at a row; None where one may. `reached`: another call was answered."""
    asked = retry_after(trouble.headers)
    if trouble.kind == "unreachable" and not reached and attempt >= min(2, retries + 1):
        return f"cannot be reached: {trouble.reason}; start the server or correct the address"
    if trouble.kind == "denied" or (trouble.kind == "wrong" and not reached):
        return f"cannot be used: {trouble.reason}; {_CURES[trouble.kind]}"
    if asked is not None and asked > LONGEST_PAUSE:
        return f"asks to wait {asked:.0f} s ({trouble.reason}); run again later"
    return None


def down(trouble: Trouble, failed: int, most: int) -> str | None:
    """Why the endpoint is taken to be down after so many failed rows in a row, `most` calls at once; None where it is not."""
    if failed < max(FAILED_ROWS_IN_A_ROW, 2 * most):
        return None
    return f"failed {failed} rows in a row, the last with: {trouble.reason}"
