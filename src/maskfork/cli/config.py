"""`--config FILE`: a verb's options from a TOML, JSON or YAML file. Keys are option names; the command line wins."""

from __future__ import annotations

import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from maskfork.errors import UsageError

if TYPE_CHECKING:
    from cyclopts import App, Argument, ArgumentCollection

ConfigFile = Annotated[
    Path | None,
    Parameter(
        name="--config",
        help="Read options from a TOML, JSON or YAML file; keys are option names; the command line wins.",
    ),
]
"""The type of every verb's `config` parameter: `config: ConfigFile = None`. The verb itself need not look at it."""


class ConfigOption:
    """Given to the command line as its source of further values; `values` holds what the file said, once read."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Fill the arguments that the command line left open from the file that `--config` names, if it names one."""
        given = next((a for a in arguments if "--config" in a.names), None)
        if given is None or not given.tokens:
            return
        path = Path(given.tokens[-1].value)
        self.values = read_config(path)
        options = {name.lstrip("-"): a for a in arguments if a is not given for name in a.names}
        plain: dict[str, Any] = {}
        for key, value in self.values.items():
            name = key.replace("_", "-")
            argument = options.get(name) or options.get(key) or options.get(name.upper())
            if argument is None:
                raise UsageError(_unknown(key, path, " ".join(commands), list(options)))
            if argument.field_info.is_keyword:
                plain[argument.name.lstrip("-")] = _one_token(value, argument)
            else:
                _place(value, argument, path)

        from cyclopts.config import Dict

        # No commands to descend through; and not `use_commands_as_keys=False`, which drops keys that are names of verbs too.
        Dict(plain, source=str(path))(app, (), arguments)


def read_config(path: Path) -> dict[str, Any]:
    """The options in a file, as written there. Raises UsageError where it is missing, broken or no table of options."""
    if not path.is_file():
        raise UsageError(f"the configuration file {path} does not exist: give --config a TOML, JSON or YAML file")
    suffix = path.suffix.lower()
    try:
        text = path.read_text(encoding="utf-8-sig")
        if suffix == ".json":
            values = json.loads(text)
        elif suffix in (".yaml", ".yml"):
            values = _yaml(text)
        elif suffix == ".toml":
            values = tomllib.loads(text)
        else:
            raise UsageError(f"the configuration file {path} must end in .toml, .json, .yaml or .yml")
    except ValueError as error:  # each of the three readers' errors is one, and so is text that is not UTF-8
        raise UsageError(f"the configuration file {path} cannot be read ({error}): put its syntax right") from error
    if not isinstance(values, dict):
        raise UsageError(f"the configuration file {path} must be a table of options, for instance: seeds = 3")
    return values


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise UsageError("a YAML configuration needs the package pyyaml: install it, or write TOML or JSON") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _one_token(value: Any, argument: Argument) -> Any:
    """A list for an option that takes one value is its comma form: budgets = [0, 8, "all"] is --budgets 0,8,all."""
    if isinstance(value, list) and argument.token_count() == (1, False):
        return ",".join(str(item) for item in value)
    return value


def _place(value: Any, argument: Argument, path: Path) -> None:
    """What has a place on the command line and no name there: one value, or as many as a list has."""
    from cyclopts import Token

    if argument.tokens:  # the command line wins
        return
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        argument.append(Token(value=str(item), source=str(path), index=index))


def _unknown(key: str, path: Path, verb: str, options: list[str]) -> str:
    known = sorted({name for name in options if not name.startswith("no-")})
    near = get_close_matches(key.replace("_", "-"), known, n=1, cutoff=0.5)
    cure = f"did you mean {near[0]!r}?" if near else f"`maskfork {verb} --help` lists the options"
    return f"{path} sets {key!r}, which `maskfork {verb}` does not have: {cure}"
