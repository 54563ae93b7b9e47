"""Options that several commands share: where the project is, and its config."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail, first_line


def add_place(parser: argparse.ArgumentParser) -> None:
    """`-C`, `-f`, `--state-dir`, `--config`, `--configfile`."""
    parser.add_argument("-C", dest="folder", metavar="DIR", help="the project's folder, instead of this one")
    parser.add_argument("-f", dest="file", metavar="FILE", help="the Dreamfile, where it is not called Dreamfile")
    parser.add_argument("--state-dir", metavar="DIR", help="where caches, logs and the build log are (.dreammake)")
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="K=V",
        help="a config value, nested ones by dots: train.lr=1e-4",
    )
    parser.add_argument("--configfile", action="append", default=[], metavar="FILE", help="config values, YAML or JSON")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, and nothing else")


def session_of(arguments: argparse.Namespace) -> Any:
    """The session that the options name. Raises DreamError where there is no Dreamfile."""
    from dreammake.session.place import Place
    from dreammake.session.session import Session

    place = Place.at(arguments.folder, arguments.file, arguments.state_dir)
    return Session(place, overrides_of(arguments))


def path_of(session: Any, target: str) -> str:
    """The path that a word names: itself, or the only output of the rule of that name. Raises DreamError."""
    from dreammake.plan.selection import path_named

    return path_named(session.dreamfile, target)


def overrides_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Config values by dotted name: files first, then `--config`, later ones winning."""
    from dreammake.lang.config import flattened, read_override

    overrides: dict[str, Any] = {}
    for name in arguments.configfile:
        overrides |= flattened(_config_file(arguments.folder, name))
    for item in arguments.config:
        name, equals, value = item.partition("=")
        if not equals or not name:
            fail("bad-arguments", f"--config takes name=value, not `{item}`", hint="write --config n=10")
        overrides[name] = read_override(value)
    return overrides


def _config_file(folder: str | None, name: str) -> dict[str, Any]:
    path = Path(folder or ".") / name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        fail("no-such-file", f"there is no config file `{name}`", hint="check --configfile")
    except (OSError, UnicodeDecodeError):
        fail("unreadable-file", f"the config file `{name}` cannot be read")
    try:
        if path.suffix == ".json":
            values = json.loads(text)
        else:
            import yaml

            values = yaml.safe_load(text)
    except Exception as error:
        fail(
            "bad-config-file",
            f"`{name}` is neither YAML nor JSON: {first_line(error)}",
            hint="write `name: value` lines",
        )
    if values is None:
        return {}
    if not isinstance(values, dict):
        fail("bad-config-file", f"`{name}` holds no names with values", hint="write `name: value` lines")
    return {str(key): value for key, value in values.items()}
