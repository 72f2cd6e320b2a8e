"""What check-mask asks: every family keeps its masks on the texts that are made for it, and the report says what it did."""

from __future__ import annotations

import pytest

from maskfork import Causal, Full, Model, Window
from maskfork.errors import UsageError
from maskfork.models.hub import build
from maskfork.models.maskcheck import hold, random_texts
from maskfork.view.maskcheck import report_text
from tests.models.theirs import FAMILIES, configs

GPT = dict(model_type="gpt2", vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=40)


def gpt() -> Model:
    return build(GPT, "causal_lm", seed=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_keeps_its_masks(family: str) -> None:
    model = build({**configs(family)[0], "model_type": family}, seed=2)
    report = hold(model, random_texts(model), packed=True, most=12)
    assert report.kept, [f.differences for f in report.findings if f.differences]
    assert not [n for n in report.notes if "forbids nothing" in n]
    assert sum(f.may for f in report.findings) == sum(f.moved for f in report.findings) > 0


def test_texts_are_as_long_as_the_rules_need() -> None:
    model = gpt()
    assert [len(t) for t in random_texts(model)] == [6, 4, 12]
    assert [len(t) for t in random_texts(model, 3)] == [1, 1, 3]
    mistral = dict(model_type="mistral", vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                   num_attention_heads=2, num_key_value_heads=1)  # fmt: skip
    near, far = build({**mistral, "sliding_window": 20}, seed=1), build({**mistral, "sliding_window": 4096}, seed=1)
    assert len(random_texts(near)[2]) == 24
    assert len(random_texts(far)[2]) == 12
    assert not hold(near, random_texts(near), most=4).notes[1:]
    report = hold(far, random_texts(far))
    assert report.notes == ("Causal() & Window(before=4095, after=0) forbids nothing of its own in texts this short: "
                            "give longer ones (--length)",)  # fmt: skip


def test_a_report_that_finds_something() -> None:
    report = hold(gpt(), [[5, 6, 7]], mask=Full(), promised=Causal())
    assert not report.kept
    assert [(f.name, f.leaks, f.lost) for f in report.findings] == [
        ("decoder", 3, 0), ("decoder layer 0", 3, 0), ("decoder layer 1", 3, 0),
    ]  # fmt: skip
    assert report.findings[0].differences[0].startswith("token 1 of row 0 is read at place 0")
    report = hold(gpt(), [[5, 6, 7]], mask=Window(0, 0), promised=Causal())
    assert [(f.leaks, f.lost) for f in report.findings] == [(0, 3)] * 3


def test_places_and_layouts_are_said() -> None:
    texts = random_texts(gpt())
    report = hold(gpt(), texts, packed=True, most=5)
    assert (report.layout, report.lengths, report.source_lengths) == ("packed", (6, 4, 12), ())
    assert {f.changes for f in report.findings} == {5}
    assert report.notes == ("5 places were changed, spread evenly: --changes asks for more",)
    with pytest.raises(UsageError, match="no tokens"):
        hold(gpt(), [[]])


def test_layers_that_say_the_same_share_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    from maskfork.cli.output import emit

    model = gpt()
    emit(report_text(hold(model, [[5, 6, 7], [8]])))
    out = capsys.readouterr().out
    assert "gpt2, decoder: 2 texts of 1 to 3 tokens, padded" in out
    assert "decoder layers 0–1" in out
    assert "Kept" in out
    emit(report_text(hold(model, [[5, 6, 7]], mask=Full(), promised=Causal())))
    out = capsys.readouterr().out
    assert "decoder layer 0: token 1 of row 0 is read at place 0" in out
    assert "Not kept: 9 leaked and 0 lost." in out
