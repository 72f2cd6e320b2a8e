"""Labels by likelihood behind 32 examples: SST-2 beside lm-evaluation-harness and a whole forward for each text and label.

python benchmarks/labelling.py            a GPT-2 small of random weights: speed needs its shape, likelihoods must only agree

All read the same prompts with the same weights, in turn. Ours includes the reading of what the prompts share.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from support import ground
from support.sets import dataset
from support.turns import in_turn

from maskfork import load, load_tokenizer
from maskfork.learn.data.split import nested_budgets
from maskfork.models.hub import build
from maskfork.models.model import Model
from maskfork.prompt.score import PromptedClassifier

WORDS = ("negative", "positive")
SHOTS = 32
LENGTH = 2048  # GPT-2's 1,024 positions hold 23 of these examples beside a text


def gpt2_small(folder: Path) -> Model:
    """GPT-2 small's shape and tokenizer, weights drawn; a folder that both sides load."""
    tokenizer = load_tokenizer(ground.data_file("tokenizers/gpt2/encoder.json").parent)
    shape = {"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": LENGTH, "activation_function": "gelu_new"}
    model = build({"model_type": "gpt2", "vocab_size": tokenizer.size, "layer_norm_epsilon": 1e-5, **shape}, "causal_lm", seed=0)
    model.tokenizer = tokenizer
    model.save(folder)
    return load(folder).eval()


def one_by_one(model: Model, asked: PromptedClassifier, texts: list[str]) -> np.ndarray:
    """One whole forward for each text and label; logits are made where a label is read, nowhere else."""
    found = np.empty((len(texts), len(WORDS)))
    labels = asked.wording.label_ids(asked.label_words)
    with torch.inference_mode():
        for i, text in enumerate(texts):
            prompt = asked.wording.ids([asked.wording.text(asked.shots, text)])[0]
            for c, label in enumerate(labels):
                places = torch.arange(len(prompt) - 1, len(prompt) + len(label) - 1)
                logits = model(torch.tensor([prompt + label[:-1]]), logits_at=places).logits.log_softmax(-1)
                found[i, c] = float(logits.gather(-1, torch.tensor(label)[:, None]).sum())
    return found


def harness(folder: Path, batch: int) -> object:
    import transformers
    from lm_eval.models.huggingface import HFLM

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=batch, device="cpu", max_length=LENGTH)


def by_harness(lm: object, asked: PromptedClassifier, texts: list[str]) -> np.ndarray:
    from lm_eval.api.instance import Instance

    asks = [(asked.wording.text(asked.shots, text), f" {word}") for text in texts for word in WORDS]
    requests = [Instance("loglikelihood", {}, ask, number) for number, ask in enumerate(asks)]
    said = lm.loglikelihood(requests, disable_tqdm=True)  # type: ignore[attr-defined]
    return np.array([score for score, _ in said]).reshape(len(texts), len(WORDS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=872, help="texts of our side; SST-2's dev set has 872")
    parser.add_argument("--their-texts", type=int, default=8, help="texts of the slower sides")
    parser.add_argument("--batch", type=int, default=4, help="lm-evaluation-harness's batch size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    given = parser.parse_args()
    ground.peer("lm_eval")
    found = dataset("sst2")
    chosen = nested_budgets(found.train.labels, [SHOTS], 0)[SHOTS]
    shots = [(found.train.texts[i], None, int(found.train.labels[i])) for i in chosen]
    many, few = list(found.test.texts[: given.texts]), list(found.test.texts[: given.their_texts])
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        model = gpt2_small(folder)
        lm = harness(folder, given.batch)
        asked = PromptedClassifier(model, WORDS, shots)
        lengths = [len(ids) for ids in asked.wording.ids([asked.wording.text(asked.shots, text) for text in many])]
        alone, theirs = one_by_one(model, asked, few), by_harness(lm, asked, few)
        ours = asked.label_logprobs(few)

        def fresh() -> None:
            PromptedClassifier(model, WORDS, shots).label_logprobs(many)

        turns = in_turn(
            {"ours": fresh, "harness": lambda: by_harness(lm, asked, few), "alone": lambda: one_by_one(model, asked, few)},
            given.rounds, warm_up=0,
        )  # fmt: skip
    counts = {"ours": len(many), "harness": len(few), "alone": len(few)}
    each = {name: turns.median(name) / n for name, n in counts.items()}
    times = {name: turns.ratio(name, "ours") * counts["ours"] / counts[name] for name in counts}
    apart = {"alone": np.abs(ours - alone).max(), "harness": np.abs(ours - theirs).max()}
    titles = {
        "alone": "one whole forward for each text and label",
        "harness": f"lm-evaluation-harness, batches of {given.batch}",
        "ours": "maskfork, with the shared prefix",
    }
    rows = [
        [titles[n], f"{counts[n]}", f"{1000 * each[n]:,.1f}", f"{times[n]:.1f}", f"{apart[n]:.1e}" if n in apart else ""]
        for n in ("alone", "harness", "ours")
    ]
    head = ["SST-2, 32 examples, GPT-2 small, fp32", "texts", "ms a text", "times ours", "largest difference of a log-likelihood"]
    text = (
        "## Labels by likelihood behind 32 examples\n\n"
        f"`python benchmarks/labelling.py --texts {given.texts} --their-texts {given.their_texts} --rounds {given.rounds}"
        f" --batch {given.batch}`; {len(asked.shots)} examples in each prompt, prompts of {min(lengths)} to {max(lengths)} "
        f"tokens; {given.rounds} rounds in turn, medians; {ground.versions('torch', 'transformers', 'lm_eval')}; "
        f"commit {ground.commit()}; {ground.machine()}, others took {turns.load()}.\n\n"
        + ground.table(head, rows)
        + "\n\nThe harness reads a prompt once for both labels, which are one token each. Ours reads what the prompts share "
        "once a round, and that is counted."
    )
    print(text, time.strftime("%H:%M"))
    if given.write:
        ground.put("labelling", text)


if __name__ == "__main__":
    main()
