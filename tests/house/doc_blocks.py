"""README and docs are executed: this reads their fenced blocks and runs them in order, in an empty folder, offline.

- bash, console: lines that begin with `maskfork` or `make` (in console after `$ `) are commands. A `maskfork` command
  is run and must exit with 0, or with N where the line ends in `  # exit N`; in a console block the lines under it are
  its expected output, where a line `...` stands for any lines. A `make` target must exist (a dry run says so).
  A `maskfork` command that ends in `&` is a server: it is waited for until it says that it listens, and stopped with the
  page. While one runs, `curl` commands that name localhost are run too. The page's port 8080 is a free one of this machine.
  Other commands are for the reader's own machine and are left alone.
- python: executed; the blocks of one document share their names. Lines with `>>>` are compared, as in doctest.
- `<!-- not run: reason -->` on the line before a block leaves it out, `<!-- slow -->` moves it to the slow tier.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from maskfork.cli import main

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCE = re.compile(r"^ *```(\w*) *$")
NOT_RUN = re.compile(r"^<!-- not run:(.*)-->$")
EXIT = re.compile(r"\s+# exit (\d+)$")
SHELL = re.compile(r"[|<>;`$]|&&")  # outside quotes or inside: a shell is always right, only slower
PORT = "8080"  # as pages write it
REMARK = re.compile(r"\s{2,}#.*$")


@dataclass(frozen=True)
class Command:
    """One command line of a block and what it should print; None where the document does not say."""

    line: int
    text: str
    output: str | None = None
    exit_code: int = 0


@dataclass(frozen=True)
class Block:
    """A fenced block of a document. `line` is where its first line stands."""

    document: Path
    line: int
    language: str
    body: str
    slow: bool = False
    not_run: str | None = None

    @property
    def where(self) -> str:
        return f"{self.document.name}:{self.line}"

    def commands(self) -> list[Command]:
        """The `maskfork` and `make` commands of a bash or console block, continued lines joined."""
        found: list[Command] = []
        open_at, text, output = 0, "", []  # type: int, str, list[str]

        def close() -> None:
            if text:
                known = "\n".join(output) if self.language == "console" and output else None
                exits = EXIT.search(text)
                found.append(Command(open_at, REMARK.sub("", text), known, int(exits[1]) if exits else 0))

        prompt = "$ " if self.language == "console" else ""
        continued = False
        for number, line in enumerate(self.body.splitlines(), self.line):
            if continued:
                text = text[:-1].rstrip() + " " + line.strip()
            elif line.startswith(prompt) and (self.language == "bash" or prompt):
                close()
                open_at, text, output = number, line.removeprefix(prompt).strip(), []
            else:
                output.append(line)
            continued = text.endswith("\\") and not output
        close()
        return [c for c in found if c.text.split()[:1] in (["maskfork"], ["make"]) or _asks(c.text)]


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a Markdown file, in order. A marker that leaves a block out must give its reason."""
    found: list[Block] = []
    start, language, marker, before = 0, "", "", ""
    body: list[str] | None = None
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if body is None and fence:
            start, language, marker, body = number + 1, fence[1], before, []
        elif body is not None and fence and not fence[1]:
            left_out = NOT_RUN.match(marker)
            if left_out and not left_out[1].strip():
                raise ValueError(f"{document.name}:{start - 2}: say why this block is not run")
            reason = left_out[1].strip() if left_out else None
            found.append(Block(document, start, language, "\n".join(body), marker == "<!-- slow -->", reason))
            body = None
        elif body is not None:
            body.append(line)
        if line.strip():
            before = line.strip()
    if body is not None:
        raise ValueError(f"{document.name}:{start}: this block is never closed")
    return found


def _free_port() -> str:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return str(own.getsockname()[1])


@dataclass
class Reader:
    """Does what a document says, in `folder`: commands as processes, Python in one shared set of names; `close` stops servers."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    port: str = field(default_factory=_free_port)
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    def close(self) -> None:
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            server.communicate(timeout=60)

    def run(self, block: Block) -> int:
        """Execute a block; returns how many things ran. AssertionError names the document and the line."""
        if block.not_run is not None:
            return 0
        if block.language in ("bash", "console"):
            commands = block.commands()
            for command in commands:
                self._command(block, command)
            return len(commands)
        if block.language == "python":
            self._python(block)
            return 1
        return 0

    def _command(self, block: Block, command: Command) -> None:
        where = f"{block.document.name}:{command.line}: {command.text}"
        run = self._maskfork if command.text.startswith("maskfork") else self._curl if _asks(command.text) else _make_dry
        code, said = run(command.text.replace(PORT, self.port))
        assert code == command.exit_code, f"{where}\nexit {code}\n{said}"
        if command.output is not None:
            assert matches(command.output, said), f"{where}\nexpected\n{command.output}\ngot\n{said}"

    def _maskfork(self, text: str) -> tuple[int, str]:
        """A plain command is run in this process, which has torch loaded already; one with a pipe needs a shell."""
        if text.endswith("&"):
            return self._serve(text)
        if SHELL.search(text):
            return _output(["bash", "-c", text], self.folder, environment(self.folder))
        said = io.StringIO()
        with (
            patch.dict(os.environ, environment(self.folder), clear=True),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            code = main(shlex.split(text)[1:])
        return code, said.getvalue()

    def _serve(self, text: str) -> tuple[int, str]:
        words = shlex.split(text.removesuffix("&"))
        words[0] = str(Path(sys.executable).with_name("maskfork"))
        server = subprocess.Popen(
            words, cwd=self.folder, env=environment(self.folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )  # fmt: skip
        self.servers.append(server)
        assert server.stderr is not None
        said = ""
        for line in server.stderr:
            said += line
            if "listening at" in line:
                return 0, said
        return server.wait(), said

    def _curl(self, text: str) -> tuple[int, str]:
        return _output(["bash", "-c", text], self.folder, environment(self.folder)) if self.servers else (0, "")

    def _python(self, block: Block) -> None:
        block = replace(block, body=block.body.replace(PORT, self.port))
        if ">>>" not in block.body:
            # the same line numbers as in the document, so that a traceback points into it
            exec(compile("\n" * (block.line - 1) + block.body, str(block.document), "exec"), self.names)
            return
        test = doctest.DocTestParser().get_doctest(
            block.body + "\n", self.names, block.where, str(block.document), block.line - 1
        )
        said: list[str] = []
        failed = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=said.append, clear_globs=False)
        self.names.update(test.globs)
        assert failed.failed == 0, "".join(said)


def _asks(text: str) -> bool:
    return text.startswith("curl ") and "localhost" in text


def matches(expected: str, got: str) -> bool:
    """Line for line, trailing space aside; a line `...` stands for any lines, `...` inside a line for any text."""
    lines = [line.rstrip() for line in expected.strip("\n").splitlines()]
    pattern = ""
    for line in lines:
        pattern += r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r" *\n"
    return re.fullmatch(pattern, got.strip("\n") + "\n") is not None


def environment(folder: Path) -> dict[str, str]:
    """The reader's machine: this interpreter's commands first on the path, no network, no keys, one thread."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "HF_", "MASKFORK_"))}
    bin_folder = Path(sys.executable).parent
    return {
        **kept,
        "PATH": f"{bin_folder}{os.pathsep}{kept.get('PATH', '')}",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / ".huggingface"),
        "OMP_NUM_THREADS": "1",
        "MASKFORK_CORES": "1",
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }


def _make_dry(text: str) -> tuple[int, str]:
    outside = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}  # `make test` may be running this
    return _output(["make", "--dry-run", *shlex.split(text)[1:]], ROOT, outside)


def _output(words: list[str], folder: Path, variables: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        words,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=540,
        check=False,
    )
    return done.returncode, done.stdout
