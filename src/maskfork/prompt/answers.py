"""From what a model wrote to one of the labels, or to none; and from its token probabilities to label probabilities.

The rules go from strict to lenient and never guess: an answer that names two labels, or denies one, is outside the
list (None).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[a-zA-Z]*\n?(.*?)```", re.DOTALL)
_OPTION = re.compile(r"(?:(?:option|number|no\.?)\s*)?[(\[#]?\s*(\d{1,4})\s*[)\].:]?(?:\s+(.+))?", re.IGNORECASE)
_SAID = re.compile(r"\b(?:label|answer|category|class|classification|option)\b\s*(?:is|:|=)\s*(.+)", re.IGNORECASE)
_DENIAL = re.compile(r"(?:\b(?:not|no|never|neither|nor|isn t|wasn t|cannot be|rather than|instead of))(?: \w+)?$")
_LABEL_KEYS = ("label", "answer", "category", "class", "classification")
_TOKEN_MARKS = " \t\n\r\"'`*_([{<>}]):.,;!Ġ▁Ċ"  # what vocabularies and markup put around a word

# Probability that a label stated without token probabilities gets to share with the others. A convention, not a
# measurement: nothing in a bare answer says how sure the model is.
STATED_EPS = 0.05
NEGLIGIBLE = 0.01  # of the probability, at which a token that begins two labels does not matter


def normal(text: str) -> str:
    """Letters and digits in one case, everything else one space: "Very_Positive!" -> "very positive"."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text).split())


def parse_answer(text: str, label_names: Sequence[str], *, numbered: bool = False) -> int | None:
    """Index of the label that `text` names, or None where it names none or more than one.

    In this order: the label exactly; JSON with a "label" key (a lone string counts too); the label up to case and
    punctuation; with `numbered`, the number of a list that was shown counting from 1 ("2", "(2)", "2. sports"); the
    same for the first line, for the last line, and after "label:" or "answer is"; one label mentioned in a sentence
    and not denied ("not positive"). A mention inside of a longer label that is mentioned too does not count, and a
    label of one letter is never looked for in a sentence. Text inside <think> marks is passed over.
    """
    text = _bare(text)
    if text in label_names:
        return list(label_names).index(text)
    found = _json_label(text, label_names, numbered)
    if found is not None:
        return found
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    tries = [text, lines[0], lines[-1]]
    if said := _SAID.findall(lines[-1]) or _SAID.findall(lines[0]):
        tries.append(said[-1])
    for attempt in tries:
        found = _whole(attempt, label_names, numbered)
        if found is not None:
            return found
    if numbered and (match := _OPTION.fullmatch(text)) is not None and match.group(2):
        return None  # the number of one label beside the name of another
    return _mention(text, label_names)


def unwrapped(text: str) -> str:
    """The JSON object in what a chat model said: what is between the first brace and the last, thoughts passed over."""
    text = _bare(text)
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _bare(text: str) -> str:
    """Without thoughts, and without the fence where all of it is fenced."""
    text = _THINKING.sub(" ", text).strip()
    fenced = _FENCE.fullmatch(text)
    return text if fenced is None else fenced.group(1).strip()


def _whole(text: str, label_names: Sequence[str], numbered: bool) -> int | None:
    """The label that this text is and nothing else."""
    if text in label_names:
        return list(label_names).index(text)
    wanted = normal(text)
    same = [i for i, name in enumerate(label_names) if normal(name) == wanted]
    if len(same) == 1 and wanted:
        return same[0]
    if not numbered or (match := _OPTION.fullmatch(text.strip().strip("*_`\"'"))) is None:
        return None
    index = int(match.group(1)) - 1
    if not 0 <= index < len(label_names):
        return None
    beside = match.group(2)
    if beside is None or index in (_whole(beside, label_names, False), _mention(beside, label_names)):
        return index
    return None


def _json_label(text: str, label_names: Sequence[str], numbered: bool) -> int | None:
    try:
        value = json.loads(unwrapped(text))
    except ValueError:
        return None
    if isinstance(value, dict):
        lower = {str(k).casefold(): v for k, v in value.items()}
        value = next((lower[k] for k in _LABEL_KEYS if k in lower), None)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return _whole(str(value), label_names, numbered)


def _mention(text: str, label_names: Sequence[str]) -> int | None:
    """The one label that the sentence mentions, if it does not deny it."""
    sentence = f" {normal(text)} "
    found: set[int] = set()
    names = [normal(name) for name in label_names]
    for name in sorted(set(names), key=lambda name: -len(name)):
        if len(name) < 2:
            continue
        at = sentence.find(f" {name} ")
        while at >= 0:
            if _DENIAL.search(sentence[:at].strip()):
                return None
            found.update(i for i, other in enumerate(names) if other == name)
            # Blanked, so that "positive" is not seen again inside of "very positive".
            sentence = sentence[: at + 1] + "\0" * len(name) + sentence[at + 1 + len(name) :]
            at = sentence.find(f" {name} ")
    return found.pop() if len(found) == 1 else None


def stated_probs(index: int | None, num_labels: int, eps: float = STATED_EPS) -> npt.NDArray[np.float64]:
    """[C]: 1 - eps on the stated label and eps shared by the others; uniform for None.

    This says only which label was stated. Use `smoothing_from_gold` for an `eps` that is a measured error rate.
    """
    if index is None or num_labels == 1:
        return np.full(num_labels, 1.0 / num_labels)
    probs = np.full(num_labels, eps / (num_labels - 1))
    probs[index] = 1.0 - eps
    return probs


def smoothing_from_gold(answered: Sequence[int | None], gold: Sequence[int]) -> float:
    """An `eps` from labelled rows that are not the held-out ones: (errors + 1) / (rows + 2), Laplace's rule.

    Rows that were not answered do not count. With no rows at all this is 1/2.
    """
    pairs = [(a, g) for a, g in zip(answered, gold, strict=True) if a is not None]
    return (sum(a != g for a, g in pairs) + 1) / (len(pairs) + 2)


def likelihood_probs(
    positions: Sequence[tuple[str, Sequence[tuple[str, float]]]], label_names: Sequence[str], stated: int
) -> npt.NDArray[np.float64] | None:
    """[C] label probabilities out of the probabilities of the first token of the answer, or None.

    `positions`: for each generated token its text and (text, log probability) of the likeliest ones there. `stated` is
    the label that `parse_answer` read.

    A likely token counts for the label that it begins ("pos", " Positive"). The probability of a label is the sum over
    its tokens, divided by the sum over all labels: the probability given that one of the labels is answered. A label
    with no token among the likely ones gets the probability of the least likely token shown, the most it can have, or
    its share of what is left over if that is less.

    None, and the caller falls back on the stated label alone, where this would not be honest: more than 1 % of the
    probability is on tokens that begin two labels (the first token cannot tell these apart), the answer does not start
    with the label, the labels have less than half of the probability, or the likeliest label is not the stated one.
    """
    names = [name.casefold() for name in label_names]
    for token, top in positions:
        taken = token.strip(_TOKEN_MARKS).casefold()
        if not taken:
            continue  # a space or a quote before the answer
        if not names[stated].startswith(taken) and not taken.startswith(names[stated]):
            return None
        return _first_token(top, names, stated)
    return None


def _first_token(top: Sequence[tuple[str, float]], names: Sequence[str], stated: int) -> npt.NDArray[np.float64] | None:
    chances = [float(np.exp(min(logprob, 0.0))) for _, logprob in top]
    mass = np.zeros(len(names))
    ambiguous = 0.0
    for (token, _), chance in zip(top, chances, strict=True):
        piece = token.strip(_TOKEN_MARKS).casefold()
        begins = [i for i, name in enumerate(names) if piece and name.startswith(piece)]
        if len(begins) == 1:
            mass[begins[0]] += chance
        elif begins:
            ambiguous += chance
    if mass.sum() < 0.5 or ambiguous > NEGLIGIBLE:
        return None
    unseen = mass == 0.0
    if unseen.any():
        left = max(0.0, 1.0 - sum(chances)) / int(unseen.sum())
        mass[unseen] = max(1e-9, min(*chances, left))
    probs: npt.NDArray[np.float64] = mass / mass.sum()
    return probs if int(probs.argmax()) == stated else None
