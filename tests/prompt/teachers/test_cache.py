from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from maskfork.errors import EndpointError
from maskfork.prompt.teachers.cache import AnswerCache
from maskfork.prompt.teachers.messages import Answer, Message, Position, Request, TokenChance, Usage

URL = "http://127.0.0.1:1/v1"
FULL = Answer(
    "ok",
    'snow\u2028man \u2603 "quoted"\nline',
    None,
    Usage(12, 3),
    45.678,
    "stop",
    (Position("a", (TokenChance("a", -0.25), TokenChance("b", -1.5))),),
)


def test_an_answer_comes_back_whole_in_another_process(tmp_path: Path) -> None:
    AnswerCache(tmp_path, URL, "m").put("k", FULL)
    back = AnswerCache(tmp_path, URL, "m").get("k")
    assert back is not None
    assert back.cached
    fields = ("text", "usage", "latency_ms", "finish", "tokens", "status")
    assert [getattr(back, f) for f in fields] == [getattr(FULL, f) for f in fields]


def test_models_and_addresses_do_not_mix(tmp_path: Path) -> None:
    AnswerCache(tmp_path, URL, "org/m:1").put("k", FULL)
    assert AnswerCache(tmp_path, URL, "org/m:2").get("k") is None
    assert AnswerCache(tmp_path, "http://127.0.0.1:2/v1", "org/m:1").get("k") is None
    assert len(list(tmp_path.iterdir())) == 3


def test_the_key_depends_on_all_that_decides_the_answer() -> None:
    base = Request((Message("user", "a"),))
    others = [
        Request((Message("user", "b"),)),
        Request((Message("system", "a"),)),
        Request((Message("user", "a"), Message("user", "a"))),
        Request(base.messages, max_tokens=17),
        Request(base.messages, temperature=0.5),
        Request(base.messages, top_logprobs=5),
    ]
    keys = {r.key(URL, "m") for r in [base, *others]} | {base.key(URL, "n"), base.key(URL + "x", "m")}
    assert len(keys) == 9
    assert Request((Message("user", "\ud800 lone"),)).key(URL, "m")


@pytest.mark.parametrize("cut", [1, 2, 20, -1])
def test_a_cut_last_line_is_passed_over_and_said(tmp_path: Path, cut: int) -> None:
    cache = AnswerCache(tmp_path, URL, "m")
    cache.put("one", FULL)
    path = cache.path
    assert path is not None
    whole = path.read_bytes()
    cache.put("two", FULL)
    data = path.read_bytes()
    path.write_bytes(data[: len(whole) + cut] if cut > 0 else data[:-2])
    again = AnswerCache(tmp_path, URL, "m")
    assert again.get("one") is not None
    assert again.get("two") is None
    assert "damaged line" in again.notes()[0]
    again.put("two", FULL)
    again.put("three", FULL)
    last = AnswerCache(tmp_path, URL, "m")
    assert all(last.get(k) is not None for k in ("one", "two", "three")), "the cut line swallows no later one"


def test_rubbish_in_the_middle_is_passed_over(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, URL, "m")
    cache.put("one", FULL)
    assert cache.path is not None
    with cache.path.open("ab") as file:
        file.write(b'\x00\xff rubbish\n{"key": 3}\n[]\n\n')
    cache.put("two", FULL)
    again = AnswerCache(tmp_path, URL, "m")
    assert len(again) == 2
    assert again.notes()[0].startswith("3 damaged")


def test_another_process_sees_an_answer_at_once(tmp_path: Path) -> None:
    mine, theirs = AnswerCache(tmp_path, URL, "m"), AnswerCache(tmp_path, URL, "m")
    assert mine.get("k") is None
    theirs.put("k", FULL)
    assert mine.get("k") is not None


def test_many_processes_write_without_harm(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys
        from maskfork.prompt.teachers.cache import AnswerCache
        from maskfork.prompt.teachers.messages import Answer
        cache = AnswerCache(sys.argv[1], "http://127.0.0.1:1/v1", "m")
        for i in range(60):
            cache.put(f"{sys.argv[2]}-{i}", Answer("ok", "x" * (i * 97), latency_ms=1.0))
    """)
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "abc"]
    assert [p.wait(60) for p in running] == [0, 0, 0]
    cache = AnswerCache(tmp_path, URL, "m")
    assert len(cache) == 180
    assert cache.notes() == []
    found = cache.get("b-41")
    assert found is not None
    assert found.text == "x" * (41 * 97)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EndpointError, match="paid twice"):
        AnswerCache(tmp_path / "file", URL, "m")


def test_others_on_the_machine_cannot_read_new_answers(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, URL, "m")
    cache.put("k", FULL)
    assert cache.path is not None
    if os.name == "posix":
        assert stat.S_IMODE(cache.path.stat().st_mode) & 0o077 == 0


def test_without_a_folder_answers_live_in_memory() -> None:
    cache = AnswerCache(None, URL, "m")
    cache.put("k", FULL)
    assert cache.get("k") is not None
    assert cache.path is None
