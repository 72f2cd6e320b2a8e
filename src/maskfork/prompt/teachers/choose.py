"""Which teacher a word on the command line means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskfork.errors import UsageError
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.teacher import FormTeacher, Teacher, check_one_label

if TYPE_CHECKING:
    from maskfork.prompt.teachers.endpoint import Endpoint

_LABEL_TOKENS = 16  # of an answer that is one label


@dataclass(frozen=True)
class Terms:
    """How a teacher is asked. Prices are per million tokens, in the user's currency; `max_cost` and `max_tokens` (in and out)
    bound what is spent. Decoders know `orders`, `samples`, `temperature`, `calibrate` and (where they write) `answer_tokens`
    alone, endpoints all but `calibrate`. `answer_tokens` None: 16 for a label, else the task's own `max_tokens`.
    """

    model: str | None = None
    orders: int = 1
    samples: int = 1
    temperature: float = 0.7
    answer_tokens: int | None = None
    batch: bool = False
    concurrency: int = 8
    price_in: float | None = None
    price_out: float | None = None
    max_cost: float | None = None
    max_tokens: int | None = None
    calibrate: bool = True


def open_teacher(
    where: str, description: TaskDescription, terms: Terms | None = None, *, cache_dir: Path | None = None
) -> Teacher:
    """Who gives one label. `where` is a decoder's folder, a Hub id, or an http(s) address; `cache_dir` keeps what was answered.

    Raises UsageError for terms and a task that do not fit, ModelError and EndpointError for a teacher that cannot be had.
    """
    terms = terms or Terms()
    check_one_label(description)
    if is_address(where):
        from maskfork.prompt.teachers.asked import EndpointTeacher

        return EndpointTeacher(
            open_endpoint(where, terms, cache_dir=cache_dir), description, orders=terms.orders, samples=terms.samples,
            temperature=terms.temperature, answer_tokens=_LABEL_TOKENS if terms.answer_tokens is None else terms.answer_tokens,
        )  # fmt: skip
    _check_decoder(where, terms)
    from maskfork.prompt.teachers.local import DecoderTeacher

    return DecoderTeacher(
        where, description, orders=terms.orders, samples=terms.samples, temperature=terms.temperature, calibrate=terms.calibrate,
        cache_dir=cache_dir,
    )  # fmt: skip


def open_any_teacher(
    where: str, description: TaskDescription, terms: Terms | None = None, *, cache_dir: Path | None = None
) -> Teacher | FormTeacher:
    """As `open_teacher`, for whatever the task asks."""
    if description.output == "label":
        return open_teacher(where, description, terms, cache_dir=cache_dir)
    terms = terms or Terms()
    if is_address(where):
        from maskfork.prompt.teachers.formed import EndpointFormTeacher

        return EndpointFormTeacher(
            open_endpoint(where, terms, cache_dir=cache_dir), description, orders=terms.orders, samples=terms.samples,
            temperature=terms.temperature, answer_tokens=terms.answer_tokens,
        )  # fmt: skip
    _check_decoder(where, terms)
    from maskfork.prompt.teachers.local import DecoderFormTeacher

    return DecoderFormTeacher(
        where, description, orders=terms.orders, samples=terms.samples, temperature=terms.temperature, calibrate=terms.calibrate,
        answer_tokens=terms.answer_tokens, cache_dir=cache_dir,
    )  # fmt: skip


def _check_decoder(where: str, terms: Terms) -> None:
    """Raises UsageError for terms that are an endpoint's."""
    for_endpoints = {
        "--teacher-model": terms.model, "--batch": terms.batch, "--price-in": terms.price_in,
        "--price-out": terms.price_out, "--max-cost": terms.max_cost, "--max-tokens": terms.max_tokens,
    }  # fmt: skip
    stray = next((name for name, value in for_endpoints.items() if value not in (None, False)), None)
    if stray is not None:
        raise UsageError(f"{stray} is for an endpoint, and {where} is a decoder here: leave it out, or give an http(s) address")


def is_address(where: str) -> bool:
    """Whether a model is behind an endpoint, and not in a folder or on the Hub."""
    return where.startswith(("http://", "https://"))


def open_endpoint(where: str, terms: Terms, *, cache_dir: Path | None = None) -> Endpoint:
    """The endpoint at an address, with the one model that it offers where none is named. Raises EndpointError."""
    from maskfork.prompt.teachers.asked import only_model
    from maskfork.prompt.teachers.endpoint import Endpoint

    return Endpoint(
        terms.model or only_model(where),
        where,
        concurrency=terms.concurrency,
        price_in=terms.price_in,
        price_out=terms.price_out,
        max_cost=terms.max_cost,
        max_tokens=terms.max_tokens,
        cache_dir=cache_dir,
        batch=terms.batch,
    )
