"""Every objective by its name, with its settings: what the command line and YAML files speak of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from typing import Any

from maskfork.errors import UsageError
from maskfork.learn.objectives.clm import CausalLM
from maskfork.learn.objectives.contract import Needs, Objective
from maskfork.learn.objectives.contrastive import Contrastive
from maskfork.learn.objectives.corruption import SpanCorruption
from maskfork.learn.objectives.denoise import Denoise
from maskfork.learn.objectives.distill import Distill
from maskfork.learn.objectives.fim import FillInTheMiddle
from maskfork.learn.objectives.mixture import modes_of, ul2
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.nsp import NextSentence
from maskfork.learn.objectives.permutation import PermutationLM
from maskfork.learn.objectives.prefix import PrefixLM
from maskfork.learn.objectives.rtd import ReplacedTokens
from maskfork.learn.objectives.sentences import DocSentences, FullSentences
from maskfork.learn.objectives.sop import SentenceOrder
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import load
from maskfork.models.tokenizers import Tokenizer

Settings = dict[str, Any]
NOT_SET = ("vocabulary", "inner", "mlm", "teacher", "generator")  # made here, not given as a number or a word


@dataclass(frozen=True)
class Entry:
    """One objective: what it is, for which models, where it is from, and the tokens that its tokenizer must have."""

    name: str
    about: str
    source: str
    needs: Needs
    head: str
    make: Callable[[Vocabulary, Settings], Objective]
    of: tuple[type, ...]  # the classes whose fields are its settings
    tokens: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()  # settings that are no field

    @property
    def settings(self) -> dict[str, Any]:
        """Name -> default of each setting; a required one has the default MISSING."""
        found = {f.name: _default(f) for one in reversed(self.of) for f in fields(one) if f.init and f.name not in NOT_SET}
        return found | dict.fromkeys(self.extra, MISSING)


def by_name(name: str, tokens: Tokenizer | Vocabulary, **settings: Any) -> Objective:
    """An objective for this tokenizer; settings are its fields, as Python values or as text (`rate="0.3"`).

    Raises UsageError for a name or a setting that there is not, TokenizerError where the tokenizer lacks a token.
    """
    entry = find(name)
    vocabulary = tokens if isinstance(tokens, Vocabulary) else Vocabulary.of(tokens)
    known = entry.settings
    for key in settings:
        if key not in known:
            near = get_close_matches(key, known, n=1, cutoff=0.5)
            cure = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'none'}"
            raise UsageError(f"{name} has no setting '{key}': {cure}")
    given = {key: read(key, value, known[key]) for key, value in settings.items()}
    if name == "ul2" and isinstance(tokens, Tokenizer):
        return ul2(vocabulary, modes_of(tokens), **given)
    return entry.make(vocabulary, given)


def find(name: str) -> Entry:
    """Raises UsageError with the nearest name."""
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    near = get_close_matches(name.lower(), [*OBJECTIVES, *ALSO], n=1, cutoff=0.5)
    cure = f"did you mean {ALSO.get(near[0], near[0])}?" if near else f"choose from {', '.join(OBJECTIVES)}"
    raise UsageError(f"there is no objective '{name}': {cure}")


def read(name: str, value: Any, default: Any) -> Any:
    """A setting's value in the type of its default, from text or as it is."""
    if isinstance(default, tuple) and name not in ("losses",):
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else (value,)
        return tuple(_one(name, part) for part in parts)
    if name == "losses" and isinstance(value, str):  # ranking:1,triplet:0.5
        pairs = [part.partition(":")[::2] for part in value.split(",")]
        return tuple((loss.strip(), float(_number(name, weight or "1"))) for loss, weight in pairs)
    if name == "layers" and isinstance(value, str):
        return tuple(int(_number(name, part)) for part in value.split(","))
    if isinstance(default, bool):
        if value not in (True, False, "true", "false"):
            raise UsageError(f"{name} is true or false, not '{value}'")
        return value in (True, "true")
    if isinstance(default, int) and not isinstance(default, bool):
        number = _number(name, value)
        if number != int(number):
            raise UsageError(f"{name} is a whole number, not {value}")
        return int(number)
    if isinstance(default, float):
        return float(_number(name, value))
    return _one(name, value)


def _one(name: str, value: Any) -> Any:
    """Text as a number, true, false, none, or as the word that it is."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"none": None, "true": True, "false": False}.get(text.lower(), text)


def _number(name: str, value: Any) -> float:
    found = _one(name, value)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise UsageError(f"{name} is a number, not '{value}'")
    return found


def _default(field: Field[Any]) -> Any:
    return field.default


def _of(one: type, settings: Settings) -> Settings:
    """Those of the settings that are fields of this class."""
    names = {f.name for f in fields(one)}
    return {key: value for key, value in settings.items() if key in names}


def _paired(kind: type[NextSentence | SentenceOrder]) -> Callable[[Vocabulary, Settings], Objective]:
    def make(vocabulary: Vocabulary, settings: Settings) -> Objective:
        alone = settings.pop("alone", False)
        mlm = None if alone in (True, "true") else MaskedLM(vocabulary, **_of(MaskedLM, settings))
        return kind(vocabulary, mlm=mlm, **_of(kind, settings))

    return make


def _sentences(kind: type[FullSentences]) -> Callable[[Vocabulary, Settings], Objective]:
    def make(vocabulary: Vocabulary, settings: Settings) -> Objective:
        return kind(vocabulary, MaskedLM(vocabulary, **_of(MaskedLM, settings)), **_of(kind, settings))

    return make


def _replaced(vocabulary: Vocabulary, settings: Settings) -> Objective:
    trained = settings.pop("generator", None)
    mlm = MaskedLM(vocabulary, **{"masked": 0.85, "random": 0.0, **_of(MaskedLM, settings)})
    generator = None if trained is None else load(str(trained), "masked_lm")
    return ReplacedTokens(vocabulary, mlm, generator=generator, **_of(ReplacedTokens, settings))


def _distill(vocabulary: Vocabulary, settings: Settings) -> Objective:
    teacher = settings.pop("teacher", None)
    if teacher is None:
        raise UsageError("distill learns from a teacher: name its folder, teacher=FOLDER")
    inner = settings.pop("inner", "mlm")
    if inner not in ("mlm", "clm"):
        raise UsageError(f"distill asks what mlm or clm asks, not '{inner}'")
    asked = by_name(inner, vocabulary, **(_of(MaskedLM, settings) if inner == "mlm" else {}))
    return Distill(asked, load(str(teacher), asked.head), **_of(Distill, settings))


_MLM, _SPECIAL = ("mask",), ("mask", "cls", "sep")
_ENTRIES = (
    Entry("mlm", "hidden tokens are said from both sides", "BERT, 2018", "encoder", "masked_lm",
          lambda v, s: MaskedLM(v, **s), (MaskedLM,), _MLM),
    Entry("nsp", "mlm, and whether the second text follows the first", "BERT, 2018", "encoder", "pretrain",
          _paired(NextSentence), (NextSentence, MaskedLM), _SPECIAL, ("alone",)),
    Entry("sop", "mlm, and whether two texts are in their order", "ALBERT, 2019", "encoder", "pretrain",
          _paired(SentenceOrder), (SentenceOrder, MaskedLM), _SPECIAL, ("alone",)),
    Entry("full-sentences", "mlm on whole sentences, across documents", "RoBERTa, 2019", "encoder", "masked_lm",
          _sentences(FullSentences), (FullSentences, MaskedLM), _SPECIAL),
    Entry("doc-sentences", "mlm on whole sentences of one document", "RoBERTa, 2019", "encoder", "masked_lm",
          _sentences(DocSentences), (DocSentences, MaskedLM), _SPECIAL),
    Entry("rtd", "which tokens did a generator replace?", "ELECTRA, 2020", "encoder", "detect",
          _replaced, (ReplacedTokens, MaskedLM), _MLM, ("generator",)),
    Entry("permutation", "tokens are said in a random order, by two streams", "XLNet, 2019", "encoder", "masked_lm",
          lambda v, s: PermutationLM(v, **s), (PermutationLM,)),
    Entry("clm", "every token says the next", "GPT, 2018", "decoder", "causal_lm",
          lambda v, s: CausalLM(**s), (CausalLM,)),
    Entry("prefix-lm", "the beginning is read in full, the rest is said", "T5, 2020", "decoder", "causal_lm",
          lambda v, s: PrefixLM(**s), (PrefixLM,)),
    Entry("fim", "a text's middle is moved to its end", "Bavarian et al., 2022", "decoder", "causal_lm",
          lambda v, s: FillInTheMiddle(v, **s), (FillInTheMiddle,), ("fill",)),
    Entry("span-corruption", "spans are cut out and said", "T5, 2020", "encoder-decoder", "causal_lm",
          lambda v, s: SpanCorruption(v, **s), (SpanCorruption,), ("pad", "eos", "sentinels")),
    Entry("denoise", "a spoilt text is said again", "BART, 2020", "encoder-decoder", "causal_lm",
          lambda v, s: Denoise(v, **s), (Denoise,), ("mask", "eos")),
    Entry("ul2", "seven ways of cutting, each with its mode", "UL2, 2023", "encoder-decoder", "causal_lm",
          lambda v, s: ul2(v, **s), (), ("pad", "eos", "sentinels"), ("start",)),
    Entry("distill", "mlm or clm, and a teacher's answers to it", "DistilBERT, 2019", "encoder", "masked_lm",
          _distill, (Distill, MaskedLM), _MLM, ("teacher", "inner")),
    Entry("contrastive", "texts that belong together come close", "SimCSE, 2021", "encoder", "any",
          lambda v, s: Contrastive(**s), (Contrastive,)),
)  # fmt: skip
OBJECTIVES: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}
#: other names by which people look for them
ALSO = {
    "masked-lm": "mlm", "masked": "mlm", "whole-word": "mlm", "next-sentence": "nsp", "sentence-order": "sop", "electra": "rtd",
    "replaced-tokens": "rtd", "xlnet": "permutation", "causal-lm": "clm", "causal": "clm", "gpt": "clm", "t5": "span-corruption",
    "fill-in-the-middle": "fim", "bart": "denoise", "infilling": "denoise", "simcse": "contrastive", "roberta": "full-sentences",
}  # fmt: skip
