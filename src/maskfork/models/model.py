"""A loaded model: the one Transformer, a head, a tokenizer, and what to call them with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch, Traced
from maskfork.core.cache import Cache
from maskfork.core.linear import Linear
from maskfork.core.mask import Mask
from maskfork.core.spec import ModelSpec
from maskfork.core.transformer import Transformer
from maskfork.errors import ModelError, TokenizerError, UsageError
from maskfork.models.adapters import Adapters, save_adapter
from maskfork.models.away import Away
from maskfork.models.folder import strip, write_folder
from maskfork.models.heads import Read, build_head, marked, question
from maskfork.models.quantised import dense_table
from maskfork.models.runtimes.contract import Runtime
from maskfork.models.runtimes.writing import WritingSettings
from maskfork.models.tokenizers import Tokenizer

READ_TABLE = ("masked_lm", "causal_lm", "pretrain")  # the heads that may read the token table


@dataclass
class Output:
    """What a model gives. Padded: B rows of S tokens; packed: one row of T tokens and N sequences.

    last_hidden_state [B, S, E]; logits [B, S, V] of a language model, [N, C] of a classifier, [B, S, C] of a tagger, [B, C] of
    a multiple choice, [B, S] of a detector, None without a head; start_logits and end_logits [B, S] of a span; pair_logits
    [N, 2] of a pre-training head; pooled [N, E] of a model with a pooler; attentions: a tensor [B, H, Q, K] a layer, when
    asked for; router_logits: [B * S, experts] a layer that has experts.
    """

    last_hidden_state: Tensor
    logits: Tensor | None = None
    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    pair_logits: Tensor | None = None
    pooled: Tensor | None = None
    encoder_last_hidden_state: Tensor | None = None
    attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None
    encoder_attentions: tuple[Tensor, ...] | None = None
    router_logits: tuple[Tensor, ...] | None = None


class Model(nn.Module):
    """`maskfork.load(folder)` gives one. `model(input_ids, attention_mask)` runs it; `.save(folder)` writes it back."""

    runtime: Runtime | None = None  # what answers in its place, where its folder names one (`models/runtimes`)
    writing: WritingSettings | None = None  # how it writes, where its folder says so
    away: Away | None = None  # the weights may be let go, and come back as soon as torch is to read

    def __init__(self, spec: ModelSpec, config: Mapping[str, Any] | None = None, tokenizer: Tokenizer | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.config: dict[str, Any] = dict(config or {})
        self.generation_config: dict[str, Any] = {}  # how the folder wants its text written
        self.folder: Path | None = None
        self.notes: list[str] = []
        self._tokenizer = tokenizer
        self.body = Transformer(spec)
        self.head = build_head(spec.head, spec) if spec.head is not None else None
        self.adapters: Adapters | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's own. Raises TokenizerError where the folder has none."""
        if self._tokenizer is None:
            where = f" in {self.folder}" if self.folder else ""
            raise TokenizerError(f"this model has no tokenizer{where}: put its tokenizer.json (or vocab.txt) into the folder")
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Tokenizer | None) -> None:
        self._tokenizer = tokenizer

    @property
    def has_tokenizer(self) -> bool:
        return self._tokenizer is not None

    @property
    def longest(self) -> int | None:
        """The most tokens of a text that the model has positions for, beside those of the adapter in use; None for no limit."""
        longest = self.spec.max_length
        return longest if longest is None or self.adapters is None else longest - self.adapters.virtual.longest

    @property
    def device(self) -> torch.device:
        if self.away is not None and self.away.gone:  # those that may go are a CPU's
            return torch.device("cpu")
        return next(self.parameters()).device

    def here(self) -> None:
        """Read the weights again where they were let go."""
        if self.away is not None and self.away.gone:
            self.away.back(self)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Model:
        """What `to` and its like do."""
        self.here()
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    @property
    def label_names(self) -> tuple[str, ...]:
        """A classifier's or a tagger's labels in the order of its logits, from `id2label`."""
        if self.spec.head is None or self.spec.head.kind not in ("classify", "tag"):
            return ()
        names = self.config.get("id2label") or {}
        return tuple(str(names.get(str(i), names.get(i, f"LABEL_{i}"))) for i in range(self.spec.head.labels))

    def forward(
        self,
        input_ids: Tensor | Batch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        decoder_input_ids: Tensor | Batch | None = None,
        mask: Mask | None = None,
        cache: Cache | None = None,
        *,
        decoder_attention_mask: Tensor | None = None,
        global_attention_mask: Tensor | None = None,
        kernel: str = "auto",
        output_attentions: bool = False,
        logits_at: Tensor | None = None,
        choices: int | None = None,
        targets: Tensor | None = None,
    ) -> Output:
        """Run the model.

        `input_ids` [B, S] with an `attention_mask` [B, S] of ones and zeros, or a `Batch`, padded or packed. `mask` replaces
        the spec's rule (padding and packing stay); `cache` goes on from what was read. An encoder-decoder without
        `decoder_input_ids` gets its input shifted right. `global_attention_mask` [B, S] marks the tokens that read all and are
        read by all where a rule says `Marked` (Longformer). `logits_at` [N] (indices into the flattened tokens) makes a
        language model's logits for these places only, [N, V]. A multiple choice reads `input_ids` [B, C, S], or a `Batch` of
        B * C sequences, `choices` of them a question's (None: all). `targets` [B, S] are the tokens that a language model should
        say at each place (not shifted; IGNORE_INDEX for none): `loss` is then set and `logits` is not.
        Raises UsageError, ModelError, KernelRefused.
        """
        self.here()
        if isinstance(input_ids, Tensor) and input_ids.dim() == 3:
            choices = input_ids.shape[1]
        batch = _batch(input_ids, attention_mask, token_type_ids, global_attention_mask)
        asks = self.spec.head.question_ends if self.spec.head else None
        if asks is not None and batch is not None and batch.types is None:
            batch = replace(batch, types=(~question(batch, asks)).long())
        if self.spec.head is not None and batch is not None:
            batch = marked(batch, self.spec.head)
        target = _batch(decoder_input_ids, decoder_attention_mask, None)
        if self.spec.fork == "encoder-decoder" and target is None and batch is not None:
            target = self._shift_right(batch)
        self._check_tokens(batch, self.spec.vocab_size)
        self._check_tokens(target, self.spec.decoder_vocab_size or self.spec.vocab_size)
        how = {"mask": mask, "kernel": kernel, "want_weights": output_attentions}
        longer = None
        if self.adapters is None:
            states = self.body(batch, target, cache=cache, **how)
        else:
            states, longer = self.adapters.run(self.body, batch, target, cache, **how)
        hidden = states.last_hidden_state
        main = target if self.spec.fork == "encoder-decoder" else batch
        if main is None:
            raise UsageError("a model reads tokens: pass input_ids")
        found: dict[str, Tensor] = {}
        if self.head is not None and self.spec.head is not None:
            if self.spec.head.pool == "eos" and batch is not None:
                main = batch  # end-of-text stands in the source; the decoder read it one place later
            table = self.body.tokens.weight if self.spec.head.kind in READ_TABLE else None
            read = Read(main, table, logits_at, choices, targets)
            found = self.head(hidden, read) if self.adapters is None else self.adapters.read(self.head, hidden, read, longer)
        return Output(
            hidden,
            **found,
            encoder_last_hidden_state=states.encoder_hidden_state,
            attentions=states.attentions,
            cross_attentions=states.cross_attentions,
            encoder_attentions=states.encoder_attentions,
            router_logits=states.routed,
        )

    def save(self, folder: str | Path) -> Path:
        """Write config.json, model.safetensors and the tokenizer as `transformers` reads them.

        A model with an adapter writes that alone, as `peft` reads it, unless it is merged. Raises ModelError.
        """
        if self.adapters is not None and self.adapters.merged is None:
            return save_adapter(self, self.adapters, folder)
        return write_folder(folder, self.spec, self.config, self.tensors(), self._tokenizer, self.generation_config)

    def generate(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **settings: Any) -> Tensor:
        """Continue `input_ids` [B, S], padded on the left; an encoder-decoder writes from them. Ids [N, S + new].

        `settings` by the names of `transformers`: max_new_tokens, do_sample, temperature, top_k, top_p, num_beams,
        stop_strings, seed ...; what is not given comes from the folder's generation_config.json. More comes back from
        `maskfork.generate(model, ...)`.
        Raises UsageError where an encoder is asked to go on writing.
        """
        import maskfork  # writing is built on models, so it is asked for through the package's face

        ids: Tensor = maskfork.generate(self, input_ids, attention_mask, **settings).ids
        return ids

    def tensors(self) -> dict[str, Tensor]:
        """The parameters by the names of the weight tables, shared ones once; without adapters, none of them in fewer bits."""
        self.here()
        own = {strip(name): p.detach() for name, p in self.named_parameters() if not _added(name)}
        for name, module in self.named_modules():
            if isinstance(module, Linear) and module.packed is not None:
                own[f"{strip(name)}.weight"] = module.dense()
            elif (table := dense_table(module)) is not None:
                own[f"{strip(name)}.weight"] = table
        return own

    def initialise(self, seed: int) -> Model:
        """Fresh weights, as BERT and GPT-2 start: normal with the spec's range; residual outputs of a decoder scaled down."""
        generator = torch.Generator().manual_seed(seed)
        std = self.spec.initializer_range
        for name, p in self.named_parameters():
            initialise_tensor(name, p, std, generator, self.spec)
        return self

    def _shift_right(self, batch: Batch) -> Batch:
        start: int | Tensor | None = self.spec.decoder_start_id
        first, last = batch.flat
        if self.spec.decoder_starts_with_last:
            start = batch.tokens.flatten()[last]
        if start is None:
            raise UsageError("config.json names no decoder_start_token_id: pass decoder_input_ids")
        if self.spec.decoder_vocab_size is not None:
            raise UsageError("this model writes in another vocabulary than it reads: pass decoder_input_ids")
        tokens = batch.tokens.clone()
        tokens[:, 1:] = batch.tokens[:, :-1]
        flat = tokens.flatten()
        flat[first] = start
        return replace(batch, tokens=flat.view_as(tokens), types=None)

    def _check_tokens(self, batch: Batch | None, vocab_size: int) -> None:
        if batch is None or isinstance(batch, Traced) or batch.tokens.numel() == 0:
            return
        lowest, highest = (int(x) for x in batch.tokens.aminmax())
        if highest >= vocab_size or lowest < 0:
            raise TokenizerError(
                f"token id {lowest if lowest < 0 else highest} is outside the model's vocabulary of {vocab_size}: "
                "this text was encoded with another model's tokenizer"
            )
        kinds = self.spec.main.embed.types
        if batch.types is not None and kinds and int(batch.types.max()) >= kinds:
            raise UsageError(f"token type {int(batch.types.max())} is asked for and the model has {kinds}: number them from 0")


def initialise_tensor(name: str, p: nn.Parameter, std: float, generator: torch.Generator, spec: ModelSpec) -> None:
    """One tensor's fresh values by its name: norms one, biases zero, the rest normal."""
    last = name.rsplit(".", 1)[-1]
    with torch.no_grad():
        if last == "bias":
            p.zero_()
        elif p.dim() == 1:
            p.fill_(getattr(p, "fresh", 1.0))
        else:
            scale = std
            if spec.fork == "decoder" and name.endswith(
                ("attention.out.weight", "feed_forward.down.weight", "experts.down", "shared.down.weight")
            ):
                scale = std / math.sqrt(2 * spec.main.depth)  # GPT-2, section 2.3
            p.normal_(0.0, scale, generator=generator)


def _added(name: str) -> bool:
    """Whether a parameter is an adapter's."""
    return name.startswith("adapters.") or ".adapter." in name


def _batch(
    tokens: Tensor | Batch | None, attention_mask: Tensor | None, types: Tensor | None, marks: Tensor | None = None
) -> Batch | None:
    if tokens is None or isinstance(tokens, Batch):
        return tokens
    if tokens.dim() == 3:  # multiple choice: a row a choice
        tokens = tokens.flatten(0, 1)
        attention_mask, types, marks = (x if x is None else x.flatten(0, 1) for x in (attention_mask, types, marks))
    return Batch.padded(tokens, attention_mask, types, marks)


def check_vocabulary(spec: ModelSpec, tokenizer: Tokenizer, where: str) -> None:
    """The tokenizer must fit the model's rows: none missing, and no more to spare than padding to a round number leaves.

    Published checkpoints pad by less than 2 %; cased BERT's tokenizer leaves 5 % of uncased BERT's rows. Raises TokenizerError.
    """
    spare = spec.vocab_size - tokenizer.size
    if spare < 0:
        raise TokenizerError(
            f"the tokenizer in {where} has {tokenizer.size} tokens and the model {spec.vocab_size} "
            f"('{tokenizer.token(tokenizer.size - 1)}' has no vector): it is another model's tokenizer, put the model's own there"
        )
    if spare > max(128, 0.03 * spec.vocab_size):
        raise TokenizerError(
            f"the tokenizer in {where} has {tokenizer.size} tokens and the model {spec.vocab_size}, {spare} of which no text "
            "can reach: it is another model's tokenizer, put the model's own there"
        )


def check_head(spec: ModelSpec, wanted: str) -> None:
    """Raises ModelError where a model lacks the head that a job needs."""
    if spec.head is not None and (spec.head.kind == wanted or (spec.head.kind, wanted) == ("pretrain", "masked_lm")):
        return
    have = spec.head.kind if spec.head else "no head"
    raise ModelError(f"this model has {have} and the job needs {wanted}: load it with head='{wanted}'")
