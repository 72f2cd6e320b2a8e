"""The options of a teacher, which `label` and `distill` share, and what it costs before it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from maskfork.cli.paying import PayOptions, agree_to_send

if TYPE_CHECKING:
    from maskfork.decide.label.run import Vectors
    from maskfork.prompt.tasks import TaskDescription
    from maskfork.prompt.teachers.choose import Terms
    from maskfork.prompt.teachers.teacher import AnyTeacher, FormTeacher, Teacher


@Parameter(name="*", help="How the teacher is asked.")
@dataclass(frozen=True)
class TeacherOptions(PayOptions):
    """How the teacher is asked."""

    teacher_model: Annotated[str | None, Parameter(help="The model's name at an address; found where it offers one alone.")] = (
        None
    )
    orders: Annotated[
        int, Parameter(help="Ask each text in so many orders of the labels and examples; agreement is counted.")
    ] = 1
    samples: Annotated[int, Parameter(help="Draw so many answers for each text; agreement is counted.")] = 1
    temperature: Annotated[float, Parameter(help="Of samples.")] = 0.7
    answer_tokens: Annotated[
        int | None,
        Parameter(help="The longest written answer, in tokens: 16 for a label, else the task's max_tokens where it is left out."),
    ] = None
    max_tokens: Annotated[int | None, Parameter(help="Spend no more tokens than this, in and out together.")] = None


def open_the_teacher(where: str, description: TaskDescription, options: TeacherOptions, answers: Path) -> Teacher:
    """Who gives one label: a decoder's folder, a Hub id or an address, asked as the options say, and kept in `answers`."""
    from maskfork.prompt.teachers.choose import open_teacher

    return open_teacher(_place(where), description, _terms(options), cache_dir=answers)


def open_the_teacher_of_any(
    where: str, description: TaskDescription, options: TeacherOptions, answers: Path
) -> Teacher | FormTeacher:
    """The same for whatever the task asks."""
    from maskfork.prompt.teachers.choose import open_any_teacher

    return open_any_teacher(_place(where), description, _terms(options), cache_dir=answers)


def _place(where: str) -> str:
    from maskfork.cli.where import model_place
    from maskfork.prompt.teachers.choose import is_address

    return where if is_address(where) else model_place(where)


def _terms(options: TeacherOptions) -> Terms:
    from maskfork.prompt.teachers.choose import Terms

    return Terms(
        model=options.teacher_model, orders=options.orders, samples=options.samples, temperature=options.temperature,
        answer_tokens=options.answer_tokens, batch=options.batch, concurrency=options.concurrency, price_in=options.price_in,
        price_out=options.price_out, max_cost=options.max_cost, max_tokens=options.max_tokens,
    )  # fmt: skip


def agree_to_pay(
    teacher: AnyTeacher, texts: Sequence[str], pairs: Sequence[str] | None, options: TeacherOptions, asked: int | None = None
) -> None:
    """Say what labelling costs; ask where an endpoint is not on this machine. `asked`: so many of the texts alone."""
    some = texts if asked is None else texts[:asked]
    agree_to_send(teacher, some, None if pairs is None else pairs[: len(some)], options)


def vectors_of(encoder: str | None, folder: Path) -> Vectors:
    """Texts to vectors of an encoder (all-MiniLM-L6-v2 where none is named), kept in `folder` for the next run."""
    from maskfork.cli.where import ENCODER, model_place
    from maskfork.decide.label.vectors import kept_vectors

    return kept_vectors(model_place(encoder or ENCODER), folder)
