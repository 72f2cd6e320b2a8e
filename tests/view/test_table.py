"""The tables of the terminal: they fit, they keep what matters, they read nothing as markup."""

from __future__ import annotations

import io
from typing import Any

import pytest
import sample
from rich.cells import cell_len
from rich.console import Console

from maskfork.view.progress import Job, Progress
from maskfork.view.table import pairs_table, print_result, recommendation_panel, result_table
from maskfork.view.words import clip, duration, megabytes, milliseconds, number, p_value, percent, points, significant


def written(thing: Any, width: int, terminal: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=terminal, color_system=None).print(thing)
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_tables_fit_and_keep_what_matters(width: int) -> None:
    report = sample.full_report()
    for thing in (result_table(report, width), pairs_table(report, width), recommendation_panel(report)):
        lines = written(thing, width).split("\n")
        assert max(cell_len(line) for line in lines) <= width
    text = written(result_table(report, width), width)
    assert "90.7 % (89.2–92.1)" in text.replace("\u00a0", " ")  # accuracy is never cut
    assert "▶" in text
    assert text.count("✗") == 4 + 2  # four rows, and the two reasons below
    assert "Not run: fine-tuned bert-large" in text
    head = text.split("\n")[0]
    assert ("p99" in head) == (width >= 80)
    assert ("disk" in head) == (width >= 200)


def test_the_panel_begins_with_the_recommendation() -> None:
    report = sample.full_report()
    text = written(recommendation_panel(report), 300)
    assert "Use fine-tuned all-MiniLM-L6-v2 @ 6400" in text.split("\n")[1]
    assert text.count("minus") == 1  # the headline says the difference with its interval, so no line repeats it
    report["recommendation"]["first_line"] = f"Use {report['recommendation']['winner']}."
    second = written(recommendation_panel(report), 300).split("\n")[2]
    assert "minus" in second
    assert "interval" in second


def test_markup_and_control_codes_in_names_are_only_words() -> None:
    report = sample.full_report()
    for c in report["contenders"]:
        c["name"] = c["series"] = "[red]x[/red][/nope]\x1b[2J"
    text = written(result_table(report, 100), 100)
    assert "[red]x[/red][/nope]" in text
    assert "\x1b" not in text
    out = io.StringIO()
    print_result({}, Console(file=out, width=80))
    print_result(sample.hostile_report(), Console(file=out, width=80))
    assert "\x1b" not in out.getvalue()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make(terminal: bool = False) -> tuple[Progress, list[Job], Clock, io.StringIO]:
    jobs = [Job(s, b, seed) for s in ("fine-tuned", "prompt") for b in (8, 64) for seed in (0, 1)]
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, width=80, force_terminal=terminal, color_system=None)
    return Progress(jobs, console, clock), jobs, clock, out


def test_progress_shows_each_state_and_the_time_left() -> None:
    progress, jobs, clock, _ = make()
    with progress:
        assert progress.seconds_left() is None  # nothing is known yet
        progress.running(jobs[0])
        clock.now = 10
        progress.done(jobs[0], 0.5)
        progress.reused(jobs[1], 0.6)
        progress.running(jobs[2], 1, 4)
        clock.now = 15
        progress.running(jobs[2], 1, 4)
        progress.failed(jobs[4], "no tokenizer")
        # jobs[2] is a quarter through after 5 s: 15 left; five wait... of which four are like the only one finished.
        assert progress.seconds_left() == pytest.approx(15 + 10 * 4)
        text = written(progress, 80)
    assert "✓↺ 55.0" in text
    assert "▸· 25%" in text
    assert "no tokenizer" in text
    assert "3 of 8 done" in text
    assert "about 0:55 left" in text
    with pytest.raises(KeyError):
        progress.running(Job("other", 1, 0))


def test_a_log_gets_a_line_a_job_and_a_terminal_a_live_table() -> None:
    progress, jobs, _, out = make()
    with progress:
        for job in jobs:
            progress.running(job)
            progress.done(job, 0.5)
    lines = out.getvalue().strip().split("\n")
    assert len(lines) == len(jobs)
    assert lines[-1] == "[8/8] prompt @ 64, seed 1: done, accuracy 50.0\u00a0% (0:00)"
    progress, jobs, _, out = make(terminal=True)
    with progress:
        for job in jobs:
            progress.done(job, 0.5)
    assert "8 of 8 done" in out.getvalue()


def test_numbers_as_people_read_them() -> None:
    assert (percent(0.9123), percent(None), number(-1234.56), number(-0.01)) == ("91.2\u00a0%", "–", "−1,234.6", "0.0")
    assert (points(0.012), points(-0.004), points(0.0)) == ("+1.2", "−0.4", "0.0")
    assert (milliseconds(0.42), milliseconds(1310), megabytes(1536)) == ("0.42\u00a0ms", "1.31\u00a0s", "1.5\u00a0GB")
    assert (significant(0.006), significant(50), significant(1234.5), significant(0)) == ("0.006", "50", "1,234", "0")
    assert (p_value(0.0004), p_value(0.0342), duration(75), duration(4000)) == ("<0.001", "0.034", "1:15", "1:06:40")
    assert (clip("abcdefgh", 5), cell_len(clip("映画映画映画", 7)) <= 7, clip("ab", 5)) == ("abc…h", True, "ab")
