"""`maskfork demo`: the whole comparison on embedded film reviews with embedded models, offline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, say
from maskfork.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

BUDGETS = "0,8,64,all"


def demo(
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("maskfork-demo"),
    decoder: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    llm: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    seeds: int = 3,
    budgets: str = BUDGETS,
    max_cost: float | None = None,
    yes: Annotated[bool, Parameter(negative="")] = False,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Fine-tune or prompt? On 540 embedded film reviews, with all-MiniLM-L6-v2 and a tiny shipped GPT. A few minutes.

    Parameters
    ----------
    out
        Folder of the report and the winner; the same command goes on where it stopped.
    decoder
        A real decoder to prompt instead of the tiny one: a folder or a Hub id (repeatable).
    llm
        Model behind the OpenAI-compatible endpoint of OPENAI_BASE_URL (repeatable).
    seeds
        Trainings at each budget.
    budgets
        Labelled rows in all.
    max_cost
        The most that the endpoint may cost.
    yes
        Do not ask before paid questions are sent.
    """
    from maskfork.cli.compare import compare
    from maskfork.demo import reviews_path
    from maskfork.demo.models import labeller_path

    say("540 short film reviews, positive, negative or mixed, written for this project; 180 of them are held out.")
    _offer_endpoint(llm)
    shipped = labeller_path()
    decoders: Sequence[str] = decoder or ()
    if not decoders:
        if shipped is None:
            raise ModelError("this installation lacks the demo's decoder: install maskfork from its wheel or a full checkout")
        decoders = [str(shipped)]
        say("The decoder is tiny (a few old books, then small public sets); name a real one with --decoder FOLDER_OR_HUB_ID.")
    compare(
        reviews_path(), decoder=list(decoders), llm=llm, budgets=budgets, seeds=seeds, max_cost=max_cost, yes=yes, out=out,
        json=json,
    )  # fmt: skip


def _offer_endpoint(llm: list[str] | None) -> None:
    where = os.environ.get("OPENAI_BASE_URL") or ("OpenAI" if os.environ.get("OPENAI_API_KEY") else None)
    if where and not llm:
        say(f"An endpoint is configured ({where}): `maskfork demo --llm MODEL --max-cost 1` lets a model of it compete.")
