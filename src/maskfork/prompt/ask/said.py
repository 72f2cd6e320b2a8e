"""A JSON answer as it was said, by whoever said it, and how sure of it they were."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maskfork.prompt.ask.writer import sureness
from maskfork.prompt.generate.texts import Text


@dataclass(frozen=True)
class Said:
    """`sure`: the geometric mean of the tokens' probabilities; None where they are not known."""

    value: Any
    sure: float | None


def read_json(written: Sequence[Text]) -> list[Said]:
    """What a decoder wrote, which was held to JSON."""
    return [Said(json.loads(one.text), round(sureness(one), 6)) for one in written]
