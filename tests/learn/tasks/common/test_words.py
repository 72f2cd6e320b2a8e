"""Words of plain text: letters stay whole, and everything visible is in a word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maskfork.learn.tasks.common.words import letters_of, widened, words_of

ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text(
    st.sampled_from("aé 北한ไ\u0301\u200d\ufe0f👩👧🏽🇩🇪שמ.,'’3-\n\u00a0"), max_size=30
)


def said(text: str) -> list[str]:
    return [text[a:b] for a, b in words_of(text)]


def test_words_as_people_see_them() -> None:
    assert said("Angela Merkel's dog, born 1.5.") == ["Angela", "Merkel's", "dog", ",", "born", "1.5", "."]
    assert said("U.S.-led (can't) 3,500") == ["U.S", ".", "-", "led", "(", "can't", ")", "3,500"]
    assert said("a,b") == ["a", ",", "b"]
    assert said("北京 ok 서울에서") == ["北", "京", "ok", "서", "울", "에", "서"]
    assert said("👩\u200d👩\u200d👧 👍🏽🇩🇪🇫🇷x") == ["👩\u200d👩\u200d👧", "👍🏽", "🇩🇪", "🇫🇷", "x"]
    assert said("e\u0301te\u0301 שָׁלוֹם מرحبا") == ["e\u0301te\u0301", "שָׁלוֹם", "מرحبا"]
    assert said(" \n") == []


@given(ANY)
def test_words_lie_apart_in_order_and_leave_out_only_blanks(text: str) -> None:
    words = words_of(text)
    letters = letters_of(text)
    assert "".join(text[a:b] for a, b in letters) == text
    edges = {0, *(b for _, b in letters)}
    at = 0
    for start, end in words:
        assert at <= start < end
        assert not text[at:start].strip("\u200d\u200b") or all(text[a].isspace() for a, _ in letters if at <= a < start)
        assert {start, end} <= edges  # no letter is cut
        at = end
    assert all(text[a].isspace() for a, _ in letters if a >= at)


@given(ANY, st.data())
def test_widened_is_whole_letters(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    a, b = widened(text, start, end)
    edges = {0, *(right for _, right in letters_of(text))}
    assert a <= start <= end <= b
    assert {a, b} <= edges
    assert widened(text, a, b) == (a, b)
