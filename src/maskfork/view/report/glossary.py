"""What the words of the report mean."""

from __future__ import annotations

from maskfork.view.html import Safe, el

WORDS = (
    (
        "Contender",
        "One recipe at one number of labelled rows: a model fine-tuned, probed, prompted, or a plain baseline.",
    ),
    (
        "Held-out rows",
        "Rows that no contender saw while it was trained or chosen. Every contender answers the same ones, once.",
    ),
    ("Accuracy", "The share of held-out rows answered rightly."),
    (
        "Macro-F1",
        "F1 joins how many of a label’s rows are found with how many of its answers are right; macro-F1 is "
        "its plain mean over the labels, so rare labels weigh as much as frequent ones.",
    ),
    (
        "95 % interval",
        "Where the value would lie for new rows of the same kind and a new training by the same recipe: made "
        "in such a way that 95 of 100 intervals hold the truth.",
    ),
    (
        "Difference",
        "One contender’s accuracy minus another’s on the same rows, in percentage points. Pairing makes it sharper.",
    ),
    ("Better", "Written only where the interval of the difference excludes zero."),
    ("Cannot tell", "The interval of the difference holds zero: these rows allow either to be ahead."),
    (
        "McNemar p, Holm p",
        "An exact test on the rows that only one of two gets right; Holm’s correction allows for many pairs.",
    ),
    (
        "ECE",
        "Expected calibration error: how far the confidence is from the share of right answers, on average. 0 is best.",
    ),
    ("p50, p99", "The time for one text that half, and 99 of 100, of the requests keep below, one at a time."),
    ("Throughput", "Texts a second where many are handed over at once."),
    (
        "Cost per million",
        "The price of this machine per hour by its throughput, or tokens by the endpoint’s price, as you gave them.",
    ),
    ("Crossover", "The number of labelled rows from which a fine-tuned encoder is above a prompted decoder."),
    ("On the front", "No other contender is both more accurate and cheaper or faster."),
    (
        "Leaked row",
        "A row of the training part that stands, exactly or nearly, among the held-out rows. It is removed from training.",
    ),
)


def glossary_section() -> Safe:
    return el("dl", [el("div", el("dt", word), el("dd", meaning)) for word, meaning in WORDS], class_="glossary")
