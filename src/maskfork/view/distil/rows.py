"""Teacher beside student, line by line, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskfork.view.words import MISSING, count, duration, milliseconds, number, percent, percent_range, points_range, significant

Row = tuple[str, str, str]  # what, of the teacher, of the student


def headline(record: Mapping[str, Any]) -> str:
    """One sentence: the difference with its interval."""
    gap = record["measured"]["difference"]
    around = f"95 % interval {points_range((gap['low'], gap['high']))} points"
    if gap["low"] > 0.0:
        return f"The student is more accurate than its teacher by {number(100 * gap['value'])} points ({around})."
    if gap["high"] < 0.0:
        return f"The student is less accurate than its teacher by {number(-100 * gap['value'])} points ({around})."
    return f"Teacher and student cannot be told apart on these gold rows ({around} for student minus teacher)."


def compared(record: Mapping[str, Any]) -> list[Row]:
    """The table."""
    measured = record["measured"]
    teacher, student, speed, cost = measured["teacher"], measured["student"], measured["speed"], measured["prices"]
    return [
        ("accuracy, prediction-powered (95 %)", _share(teacher["accuracy"]), _share(student["accuracy"])),
        ("accuracy, gold rows alone", _share(teacher["gold_alone"]), _share(student["gold_alone"])),
        ("naive: own confidence; agreement with the teacher", _share(teacher["naive"]), _share(student["naive"])),
        ("time of one text, median", milliseconds(speed["teacher_ms"]), milliseconds(speed["student"]["p50_ms"])),
        ("texts a second", MISSING, significant(speed["student"]["per_second"])),
        ("price per million texts", significant(cost["teacher_per_million"]), significant(cost["student_per_million"])),
    ]


def sentences(record: Mapping[str, Any]) -> list[str]:
    """Cost, audit, gold rows, and when it pays."""
    measured, audit, data, cost = record["measured"], record["audit"], record["data"], record["measured"]["prices"]
    told = record["teacher"]
    said = [
        f"{count(told['labelled'])} of {count(told['rows'])} texts are labelled ({count(told['not_asked'])} not asked, "
        f"{count(told['outside'])} outside the labels, {count(told['failed'])} failed); the student learnt from "
        f"{count(data['learnt'])}, {count(data['apart'])} were kept apart to measure by.",
        f"Noise audit: {percent(audit['believed_wrong'])} of the labels are believed to be wrong, "
        f"{count(audit['doubtful'])} more likely than not, and {count(audit['changed'])} were learnt as another label.",
    ]
    if told["mean_agreement"] is not None:
        said.append(f"The teacher agrees with itself over orders or samples in {percent(told['mean_agreement'])} of the answers.")
    need, width = measured["gold_for_width"], 100 * measured["width"]
    said.append(
        f"For an interval of {number(width)} points in all (plus or minus {number(width / 2)}) label about "
        f"{count(need['student'])} rows by hand for the student and {count(need['teacher'])} for the teacher; there are "
        f"{count(data['gold'])}."
    )
    if cost["labels"] is not None:
        said.append(f"The labels cost {significant(cost['labels'])}.")
    said.append(_pays(cost))
    spent = record["seconds"]
    said.append(
        "Time: " + ", ".join(f"{name} {duration(spent[name])}" for name in ("label", "doubt", "learn") if name in spent) + "."
    )
    return said


def _pays(cost: Mapping[str, Any]) -> str:
    if cost["pays_from"] is not None:
        return (
            f"Labels and training together cost {significant(cost['whole'])}: the student has paid for itself from "
            f"{count(cost['pays_from'])} texts on."
        )
    if cost["teacher_per_million"] is None or cost["student_per_million"] is None:
        return "From how many texts on the student pays is not known: give --price-per-hour, and an endpoint's prices."
    return "The student never pays for itself: its teacher is the cheaper one on a machine at this price."


def _share(found: Mapping[str, float]) -> str:
    return f"{percent(found['value'])} ({percent_range((found['low'], found['high']))})"
