"""A teacher behind an OpenAI-compatible endpoint: in one or several orders of its labels and examples, or several samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maskfork.errors import EndpointError
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.classified import EndpointResult
from maskfork.prompt.teachers.classify import EndpointClassifier, Shot
from maskfork.prompt.teachers.cost import Preview
from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.teacher import Labels, Progress, Teacher, check_one_label, check_turns, orders_of, pooled
from maskfork.prompt.teachers.wire import NO_KEY, need_client, read_key, shown_url


class EndpointTeacher(Teacher):
    """Asks by the task's words, labels and examples; its `ask:` is for decoders. `orders` asks each text in so many orders of the
    labels and examples, `samples` draws so many answers at `temperature`.

    Raises UsageError for a task that is not one label of several, or for both orders and samples.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        description: TaskDescription,
        *,
        orders: int = 1,
        samples: int = 1,
        temperature: float = 0.7,
        answer_tokens: int = 16,
    ) -> None:
        check_one_label(description)
        check_turns(orders, samples, temperature)
        self.endpoint, self.description, self.name = endpoint, description, endpoint.name
        self.orders, self.samples = orders, samples
        self.temperature = temperature if samples > 1 else 0.0
        self.answer_tokens = answer_tokens
        turns = orders_of(len(description.labels), len(description.examples), orders)
        self._turns = [self._classifier(*turn, sample) for turn in turns for sample in range(samples)]

    def label(self, texts: Sequence[str], pairs: Sequence[str] | None = None, progress: Progress | None = None) -> Labels:
        """Raises `EndpointError` where the endpoint cannot be used at all; paid answers are kept."""
        found = []
        for turn, (classifier, back) in enumerate(self._turns):

            def moved(done: int, rows: int, turn: int = turn) -> None:
                if progress is not None:
                    progress(turn * rows + done, len(self._turns) * rows)

            result = classifier.predict(texts, pairs, moved)
            found.append(self._labels(result, back))
            if self.endpoint.stopped is not None:
                break
        return pooled(found)

    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Preview:
        asked = [request for classifier, _ in self._turns for request in classifier.requests(texts, pairs)]
        return self.endpoint.preview(asked)

    def identity(self) -> Mapping[str, Any]:
        return {
            "endpoint": shown_url(self.endpoint.url),
            "model": self.endpoint.model,
            "task": self.description.as_dict(),
            "orders": self.orders,
            "samples": self.samples,
            "temperature": self.temperature,
            "answer_tokens": self.answer_tokens,
        }

    def _classifier(self, order: list[int], shown: list[int], sample: int) -> tuple[EndpointClassifier, list[int]]:
        """The classifier of a turn, and where each of the task's labels stands in it."""
        labels, examples = self.description.labels, [self.description.examples[i] for i in shown]
        place = {labels[i].name: k for k, i in enumerate(order)}
        classifier = EndpointClassifier(
            self.endpoint,
            [labels[i].said for i in order],
            instruction=self.description.what,
            descriptions=[labels[i].description or "" for i in order],
            shots=[Shot(one.text, place[str(one.answer)], one.pair) for one in examples],
            max_tokens=self.answer_tokens,
            temperature=self.temperature,
            sample=sample,
        )
        return classifier, [place[label.name] for label in labels]

    def _labels(self, result: EndpointResult, back: list[int]) -> Labels:
        """In the task's own order of labels."""
        own = np.argsort(back)
        labels = np.where(result.labels >= 0, own[np.maximum(result.labels, 0)], -1)
        prices = self.endpoint.ledger.prices
        costs = None
        if prices is not None:
            costs = np.array([np.nan if usage is None else prices.cost(usage) for usage in result.usages])
        return Labels(
            names=self.description.label_names,
            labels=labels.astype(np.int64),
            probs=result.probs[:, back],
            agreement=np.full(len(labels), np.nan),
            errors=result.errors,
            latencies_ms=result.latencies_ms,
            usage=result.usage,
            costs=costs,
            spent=result.spent,
            notes=result.notes,
            stopped=self.endpoint.stopped,
        )


def only_model(url: str, key_env: str = "OPENAI_API_KEY") -> str:
    """The model of an endpoint that offers one. Raises EndpointError, with the names, where it offers several or none."""
    need_client()
    import openai

    key = read_key(url, key_env)
    client = openai.OpenAI(api_key=key, base_url=url, timeout=10.0, max_retries=0)
    try:
        names = sorted(str(model.id) for model in client.models.list())
    except openai.OpenAIError as error:
        words = " ".join(str(error).split())
        words = words if key == NO_KEY else words.replace(key, "***")
        raise EndpointError(
            f"The endpoint {shown_url(url)} did not say which models it has ({words}): start the server, correct the address, or "
            "name the model."
        ) from error
    finally:
        client.close()
    if len(names) != 1:
        offered = f"offers {', '.join(names[:10])}" if names else "names no model"
        raise EndpointError(f"The endpoint {shown_url(url)} {offered}: say which with --teacher-model.")
    return names[0]
