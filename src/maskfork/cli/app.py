"""The verbs, by import path, and `main`: every error that a user can put right ends as one sentence and exit code 2."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from difflib import get_close_matches
from typing import TYPE_CHECKING

from maskfork import __version__
from maskfork.cli.config import ConfigOption
from maskfork.cli.output import fail, say
from maskfork.errors import MaskforkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import App, CycloptsError

VERBS = {
    "compare": "Fine-tune or prompt? The answer on your labelled rows.",
    "train": "Fine-tune a model for a task: classify, tag, answer, embed, rerank, seq2seq ...",
    "tune": "Search for good settings of a training, within minutes.",
    "audit": "Say what is wrong with labelled rows, before training on them.",
    "search": "Find the texts of a file that are nearest in meaning, by vectors; --rerank reads them again.",
    "dedup": "Take out texts that say nearly the same, by their words and by their vectors.",
    "label": "Let a decoder or an endpoint label your texts, and pay nothing twice.",
    "distill": "From a teacher's labels to a small model of your own, measured on rows labelled by hand.",
    "predict": "Label texts with a trained model.",
    "bench": "Say how fast a model is here, beside its peers, or how a server holds under load.",
    "optimize": "Find the fastest runtime for a model on this machine, judged and timed with your own rows.",
    "serve": "Serve trained models over HTTP, by the APIs of TEI and OpenAI.",
    "prompt": "Ask a decoder what a task file describes: labels, spans or JSON, with how sure it is.",
    "pretrain": "Train a model on your own text, and go on to the bit where it stopped.",
    "score": "Score a file of predictions, with intervals, alone or against another.",
    "evaluate": "Say how well language models know a text: perplexity, bits per byte.",
    "generate": "Go on with a text, by a decoder.",
    "chat": "Talk with a decoder by its own chat template.",
    "translate": "Translate texts with an encoder-decoder.",
    "summarise": "Summarise texts with an encoder-decoder.",
    "fill-mask": "The words that an encoder would put in the gaps.",
    "info": "Say what a model folder holds.",
    "export": "Write a model for another runtime (onnx, openvino, gguf), checked against itself.",
    "convert": "Write a checkpoint in another format, checked tensor by tensor.",
    "explain": "Say how a model runs, layer by layer: rules, kernels, sizes, memory.",
    "families": "List the model families that load here, and what of the Hub is theirs.",
    "tokenizer": "Train a tokenizer, watch one work, compare several, check one against a model.",
    "corpus": "Tokenise text for pre-training, once; say what a corpus holds.",
    "mask": "Draw who may attend to whom, with your own tokens.",
    "objective": "Show what a way of pre-training does to your own sentence.",
    "check-mask": "Prove that a model reads what its masks allow, no more and no less.",
    "attention": "Show what each token of a text reads, head by head.",
    "demo": "The whole comparison on embedded film reviews, offline.",
}
"""Verb -> its line in `maskfork --help`. The verb `x-y` is the function `x_y` in `maskfork/cli/x_y.py`, loaded on call."""

EPILOGUE = "Every verb takes --json and --config FILE; `maskfork VERB --help` says more."
REPORT_BUGS = "https://github.com/maskfork/maskfork/issues"
DEBUG = "MASKFORK_DEBUG"  # where it is set, the way to a user's error is shown too
FULL = (errno.ENOSPC, errno.EDQUOT)
INTERRUPTED = 130
BROKEN_PIPE = 141


def build_app(config: ConfigOption, called: str | None = None) -> App:
    """The command line with every verb registered by name only: nothing of the work is imported here.

    The verb that is `called` explains itself by its own docstring; the others by their line above.
    """
    from cyclopts import App

    app = App(
        name="maskfork",
        help="One Transformer, the attention mask a parameter: should you fine-tune a BERT or prompt a GPT?",
        version=__version__,
        config=config,
        result_action="return_value",
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        help_epilogue=EPILOGUE if called is None else None,
    )
    for verb, line in VERBS.items():
        function = verb.replace("-", "_")
        app.command(f"maskfork.cli.{function}:{function}", name=verb, help=None if verb == called else line)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 a bug of ours, 2 a user's error, 130 interrupted)."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    config = ConfigOption()
    try:
        code = _run(tokens, config)
        sys.stdout.flush()
    except MaskforkError as error:
        return _theirs(error, as_json=_wants_json(tokens, config))
    except KeyboardInterrupt:
        say("stopped; finished work is kept: run the same command again to go on")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); the interpreter's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        if not error.filename and error.errno not in FULL:
            return _ours()
        return _theirs(UsageError(_of_the_disk(error)), as_json=_wants_json(tokens, config))
    except Exception:
        return _ours()
    return code


def _theirs(error: MaskforkError, *, as_json: bool) -> int:
    """A user's error, in a sentence: a missing file may still be a fault of ours, which only the way there tells."""
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        traceback.print_exc()
    return fail(error, as_json=as_json)


def _ours() -> int:
    """A fault of the program: the exception that is handled is shown whole."""
    traceback.print_exc()
    say(f"maskfork: this is a bug of ours, please report it with the lines above: {REPORT_BUGS}")
    return 1


def _of_the_disk(error: OSError) -> str:
    """What the disk refuses where no command says it better."""
    if error.errno in FULL:
        where = f"{error.filename} cannot be written" if error.filename else "the result cannot be written"
        return f"{where}, because the disk is full: make room, and run the same command again"
    why = (error.strerror or str(error)).lower()
    return f"{error.filename} cannot be read or written ({why}): see that its folder is there, is yours to write, and has room"


def _run(tokens: list[str], config: ConfigOption) -> int:
    from cyclopts import CycloptsError

    app = build_app(config, called=tokens[0] if tokens and tokens[0] in VERBS else None)
    if tokens and tokens[0] not in {*VERBS, *app.help_flags, *app.version_flags}:
        raise UsageError(_no_such_verb(tokens[0]))
    try:
        result = app(tokens)
    except CycloptsError as error:
        raise UsageError(_sentence(error, tokens[0])) from error
    return result if isinstance(result, int) else 0


def _no_such_verb(token: str) -> str:
    if token.startswith("-"):
        return f"the verb comes first, before {token}: {', '.join(VERBS)}"
    near = get_close_matches(token.lower(), VERBS, n=1, cutoff=0.5)
    cure = f"did you mean `maskfork {near[0]}`?" if near else f"choose from {', '.join(VERBS)}"
    return f"there is no verb {token!r}: {cure}"


def _sentence(error: CycloptsError, verb: str) -> str:
    """The parser's message as one sentence with a cure."""
    from cyclopts import MissingArgumentError

    if isinstance(error, MissingArgumentError) and error.argument is not None and error.keyword is None:
        where = " ".join(error.command_chain or (verb,))
        asked = error.argument
        name = asked.name.lstrip("-").upper() if asked.field_info.is_positional else asked.name
        return f"`maskfork {where}` needs {name}: see `maskfork {where} --help`"
    error.verbose = False
    text = " ".join(str(error).split()).rstrip(".")
    text = text[:1].lower() + text[1:]
    if "Did you mean" in text:
        return text.replace(". Did you mean", ": did you mean")
    return f"{text}: see `maskfork {verb} --help`"


def _wants_json(tokens: list[str], config: ConfigOption) -> bool:
    options = tokens[: tokens.index("--")] if "--" in tokens else tokens
    return "--json" in options or config.values.get("json") is True
