"""Special tokens around sequences and documents, as each family has them.

BERT, RoBERTa, BART   [CLS] text [SEP]        every sequence
T5                    text </s>               every sequence
Llama                 <s> text </s>           every document
GPT-2                 text <|endoftext|>      every document
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers import Tokenizer

Style = Literal["encoder", "decoder", "encoder-decoder"]


@dataclass(frozen=True)
class Around:
    """`begin` and `end` stand around every sequence, `opening` and `closing` around every document."""

    begin: tuple[int, ...] = ()
    end: tuple[int, ...] = ()
    opening: tuple[int, ...] = ()
    closing: tuple[int, ...] = ()

    @staticmethod
    def of(tokenizer: Tokenizer, style: Style | None = None) -> Around:
        """As the tokenizer's own template has it, else by the names of its tokens.

        `style` None: an encoder's where the template ends a text with a token, else a decoder's. Raises TokenizerError where an
        encoder's or an encoder-decoder's tokenizer has no such tokens.
        """
        begin, end = _template(tokenizer)
        if style is None:
            style = "encoder" if end else "decoder"
        if style == "decoder":
            bos, eos = tokenizer.special("bos"), tokenizer.special("eos")
            opening = () if bos is None or bos == eos else (bos,)
            return Around(opening=opening, closing=() if eos is None else (eos,))
        if not end:
            first, last = tokenizer.special("cls"), tokenizer.special("sep")
            last = tokenizer.special("eos") if last is None else last
            if last is None:
                raise TokenizerError(
                    f"this tokenizer has no token that ends a text for an {style} ([SEP] or </s>): train one with "
                    "`maskfork tokenizer train --for bert`, or load a decoder's corpus"
                )
            begin, end = () if first is None else (first,), (last,)
        return Around(begin=begin, end=end)


def _template(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer puts before and after a text."""
    encoded = tokenizer.inner.encode("a")
    plain = [not special for special in encoded.special_tokens_mask]
    if not any(plain):
        return (), ()
    first, last = plain.index(True), len(plain) - plain[::-1].index(True)
    return tuple(encoded.ids[:first]), tuple(encoded.ids[last:])
