"""Messages as a model's own chat template writes them: Jinja in a sandbox, with the few additions that templates count on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
import jinja2.ext
from jinja2.nodes import CallBlock, Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from maskfork.errors import DataError, TokenizerError
from maskfork.models.tokenizers import Tokenizer

Message = Mapping[str, Any]  # role and content, and what else a template reads

#: for a model without a template of its own: OpenAI's ChatML with plain words, so that no new token is needed
PLAIN = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)
_SPECIALS = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what the assistant says: here it is just text."""

    tags = {"generation"}  # noqa: RUF012 (the library's own way)

    def parse(self, parser: Parser) -> Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    @staticmethod
    def _said(caller: Any) -> Any:
        return caller()


def template_of(tokenizer: Tokenizer) -> str | None:
    """The template that came with the tokenizer (its `default` where it has several); None where there is none."""
    found = tokenizer.config.get("chat_template")
    if isinstance(found, list):
        found = next((one["template"] for one in found if one.get("name") == "default"), None)
    return None if found is None else str(found)


def render(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    *,
    answer_next: bool = False,
    template: str | None = None,
    **more: Any,
) -> str:
    """One text of all messages, special tokens written out; `answer_next` opens the assistant's turn.

    `template` instead of the tokenizer's own; `more` are further names that the template may read (tools, documents).
    Raises TokenizerError where there is no template, DataError where the template refuses the messages.
    """
    source = template or template_of(tokenizer)
    if source is None:
        raise TokenizerError("this model has no chat template: ask it with `maskfork generate`, or give a template")
    names = {name: _text(tokenizer.config.get(name)) for name in _SPECIALS}
    names = {name: text for name, text in names.items() if text is not None}
    try:
        return _compiled(source).render(messages=list(messages), add_generation_prompt=answer_next, **names, **more)
    except jinja2.exceptions.TemplateError as error:
        raise DataError(
            f"the model's chat template refuses these messages ({error}): change their roles or their order"
        ) from error


def _text(token: Any) -> str | None:
    return token.get("content") if isinstance(token, dict) else token


@lru_cache(maxsize=16)
def _compiled(source: str) -> jinja2.Template:
    def refuse(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value: Any, **kind: Any) -> str:  # Jinja's own writes < and > for HTML
        return json.dumps(value, ensure_ascii=kind.pop("ensure_ascii", False), **kind)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(source)
    except jinja2.exceptions.TemplateSyntaxError as error:
        raise TokenizerError(f"the chat template is no Jinja ({error}, line {error.lineno}): put it right") from error
