"""What models of several sizes make of examples in the prompt, by metrics that jump and metrics that do not.

A score that counts an answer only when every token of it is right stays at nothing while each token's probability rises steadily,
and then leaps; the leap is the metric's (Schaeffer et al. 2023, "Are emergent abilities of large language models a mirage?").
Beside it stand the geometric mean of the right answer's token probabilities and the Brier score, which rise with the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from maskfork.errors import UsageError
from maskfork.measure.intervals import Interval
from maskfork.measure.means import mean_difference, mean_interval
from maskfork.models.model import Model
from maskfork.prompt.ask.asker import classifier_of
from maskfork.prompt.score import calibrated, load_decoder
from maskfork.prompt.shots.select import select
from maskfork.prompt.tasks.description import Example, TaskDescription

#: name -> what it says, and whether it jumps
METRICS: dict[str, tuple[str, bool]] = {
    "exact": ("share of answers that greedy decoding writes right to the last token", True),
    "accuracy": ("share of texts whose right label is the likeliest of the labels", True),
    "token-likelihood": ("geometric mean of the probabilities of the right answer's tokens", False),
    "brier": ("Brier score over the labels, 0 at best, 2 at worst", False),
}


@dataclass(frozen=True)
class Measured:
    """A model with so many examples: each metric over the texts, means of all draws of examples."""

    model: str
    parameters: int
    shots: int
    draws: int
    values: dict[str, Interval]
    notes: tuple[str, ...] = ()


def measure(
    where: str | Path | Model,
    name: str,
    task: TaskDescription,
    pool: Sequence[Example],
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    labels: Sequence[int],
    *,
    shots: Sequence[int],
    draws: int = 3,
    seed: int = 0,
    moved: Callable[[int], None] | None = None,
) -> list[Measured]:
    """One model at each number of examples, which are drawn from `pool`, as many of each label as can be.

    The examples are the same for all models that are measured with one seed. Raises UsageError where the pool is too small.
    """
    if len(texts) < 2:
        raise UsageError("an interval needs two texts at least: give more rows, or a larger --limit")
    if max(shots) > len(pool):
        raise UsageError(f"{max(shots)} examples are asked for and {len(pool)} rows are there to take them from: ask for fewer")
    model = where if isinstance(where, Model) else load_decoder(where)
    truth = np.asarray(labels)
    found = []
    for count in shots:
        times = draws if count else 1
        rows: dict[str, list[np.ndarray]] = {metric: [] for metric in METRICS}
        notes: tuple[str, ...] = ()
        for draw in range(times):
            chosen = select([one.text for one in pool], [str(one.answer) for one in pool], count, "balanced", seed=seed + draw)
            how = replace(task.how, shots=None, select="given", encoder=None)
            asked = classifier_of(model, replace(task, examples=tuple(pool[i] for i in chosen), how=how))
            answers = asked.read(texts, pairs, moved)
            probs = calibrated(answers.logprobs, None)
            own = np.arange(len(truth)), truth
            sizes = np.array([len(label) for label in asked.label_tokens])
            rows["exact"].append(answers.written[own].astype(float))
            rows["accuracy"].append((probs.argmax(1) == truth).astype(float))
            rows["token-likelihood"].append(np.exp(answers.logprobs[own] / sizes[truth]))
            rows["brier"].append(((probs - np.eye(len(task.labels))[truth]) ** 2).sum(1))
            notes = tuple(asked.notes)
        values = {metric: _interval(metric, np.mean(parts, axis=0)) for metric, parts in rows.items()}
        found.append(Measured(name, sum(p.numel() for p in model.parameters()), count, times, values, notes))
    return found


def reading(measured: Sequence[Measured], jumps: str = "exact", steady: str = "token-likelihood") -> str:
    """One sentence on the ladder of models: whether what jumps does so alone.

    By the step between neighbours in size in which `jumps` rises the most: how much of its whole rise that is, and how much of
    the whole rise of `steady` (its logarithm) lies in the same step.
    """
    shots = max(one.shots for one in measured)
    ladder = sorted((one for one in measured if one.shots == shots), key=lambda one: one.parameters)
    if len(ladder) < 3:
        return "a jump needs three sizes at least to be seen: give more models"
    sharp = np.diff([one.values[jumps].value for one in ladder])
    even = np.diff([np.log(max(one.values[steady].value, 1e-12)) for one in ladder])
    if sharp.sum() <= 0 or ladder[-1].values[jumps].value < ladder[0].values[jumps].high:
        return f"{jumps} does not rise from the smallest model to the largest by more than chance, so there is no jump to explain"
    step = int(sharp.argmax())
    between = f"between {ladder[step].model} and {ladder[step + 1].model}"
    share, same = float(sharp[step] / sharp.sum()), float(even[step] / even.sum()) if even.sum() > 0 else 1.0
    if share < 0.6:
        return f"{jumps} rises over several steps (at most {share:.0%} of it {between}): nothing jumps"
    if same < 0.6:
        return (
            f"{share:.0%} of the rise of {jumps} lies {between}, and only {same:.0%} of that of {steady}: the jump is the "
            "metric's, the models get better step by step"
        )
    return (
        f"{share:.0%} of the rise of {jumps} lies {between}, and {same:.0%} of that of {steady} too: the model itself gets "
        "better there, whatever the metric"
    )


def _interval(metric: str, values: np.ndarray) -> Interval:
    """Of shares as accuracy has it; of what varies from text to text without bounds that matter, Student's t."""
    if METRICS[metric][1]:
        return mean_interval(values)
    found = mean_difference(values / 2, np.zeros(len(values)))  # a Brier score goes up to 2
    return Interval(2 * found.value, max(0.0, 2 * found.low), 2 * found.high)
