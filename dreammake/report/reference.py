"""The reference page of a step, engine, trainer or executor, made from its declaration.

`python -m dreammake.report.reference docs/reference` writes all of them.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from dreammake.core.catalog import Catalog, Group
from dreammake.core.options import Option
from dreammake.core.values import Template

GROUPS: dict[Group, str] = dict(zip(get_args(Group), ("Steps", "Engines", "Trainers", "Executors"), strict=True))
_KIND: dict[Group, str] = {"steps": "step", "models": "engine", "trainers": "trainer", "executors": "executor"}


@dataclass(frozen=True, slots=True)
class Declared:
    """One option as its page tells it; `default` is empty for one that must be given."""

    name: str
    takes: str
    default: str
    result: bool
    doc: str


@dataclass(frozen=True, slots=True)
class Reference:
    """What is known about one name of the catalog."""

    title: str
    usage: str
    text: str
    paper: str
    options: tuple[Declared, ...]
    example: str

    @property
    def sentence(self) -> str:
        """The first sentence of its text, on one line."""
        first = " ".join(self.text.split("\n\n")[0].split())
        return first.split(". ")[0].removesuffix(".") + "." if first else ""


def reference(group: Group, name: str, cls: Any) -> Reference:
    """Reads the declaration `cls` that the catalog has under `name`."""
    return Reference(
        title=f"{name} ({_KIND[group]})",
        usage=_usage(group, name, cls),
        text=inspect.cleandoc(cls.__doc__ or ""),
        paper=getattr(cls, "paper", ""),
        options=tuple(map(_declared, cls.Options.declared().values())),
        example=inspect.cleandoc(getattr(cls, "example", "")).strip(),
    )


def page(group: Group, name: str, cls: Any) -> str:
    """The page in Markdown."""
    found = reference(group, name, cls)
    parts = [f"# {found.title}", f"```text\n{found.usage}\n```", found.text]
    if found.paper:
        parts.append(f"In the DataDreamer paper: {found.paper}.")
    if found.options:
        parts.append("## Options\n\n" + _table(found.options))
    if found.example:
        parts.append(f"## Example\n\n```dreamfile\n{found.example}\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def _usage(group: Group, name: str, cls: Any) -> str:
    """How it is written: `prompt NAME:`, `take: COUNT`, `train sft:`."""
    match group:
        case "models":
            return f'model NAME: "the model\'s name"\n    engine: "{name}"'
        case "trainers":
            return f"train {name}:"
        case "executors":
            return f"dreammake --executor {name}"
    named = {"column": " NAME", "maybe-column": " [NAME]", "method": " METHOD"}.get(cls.named, "")
    if cls.value is None:
        return f"{name}{named}:"
    value = cls.value.upper()
    option = cls.Options.declared().get(cls.value)
    return f"{name}{named}: " + (value if option is not None and option.required else f"[{value}]")


def _declared(option: Option[Any]) -> Declared:
    takes = option.takes + (f", in {option.unit}" if option.unit else "")
    takes += {"row": "", "text": " (a template)", "reading": ""}[option.when]
    default = "" if option.required else _written(option.default)
    return Declared(option.name, takes, default, option.result, option.doc)


def _written(value: Any) -> str:
    """A default as a Dreamfile would say it."""
    if isinstance(value, Template):
        value = value.source
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(list(value) if isinstance(value, tuple) else value)


def _table(options: Sequence[Declared]) -> str:
    rows = [("option", "takes", "default", "changes the result", "what it is"), ("---",) * 5]
    for option in options:
        default = f"`{option.default}`" if option.default else "required"
        rows.append((f"`{option.name}`", option.takes, default, "yes" if option.result else "no", option.doc))
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    )


def every(catalog: Catalog) -> Iterator[tuple[Group, str, Any]]:
    """Group, name and declaration of all that the catalog has."""
    for group in GROUPS:
        for name in catalog.names(group):
            yield group, name, catalog.find(group, name)


def pages(catalog: Catalog) -> dict[str, str]:
    """All pages by their path below `docs/reference/`, and the index of them."""
    found = {f"{group}/{name}.md": page(group, name, cls) for group, name, cls in every(catalog)}
    lines = [
        "# Reference",
        "",
        "Made from the declarations in the code: `python -m dreammake.report.reference docs/reference`.",
    ]
    for group, title in GROUPS.items():
        lines += ["", f"## {title}", ""]
        for name in catalog.names(group):
            lines.append(f"- [{name}]({group}/{name}.md): {reference(group, name, catalog.find(group, name)).sentence}")
    return {"index.md": "\n".join(lines) + "\n", **found}


def main(folder: Path) -> None:
    """Write all pages into a folder, and remove the pages of what is gone."""
    found = pages(Catalog())
    for old in folder.rglob("*.md"):
        if old.relative_to(folder).as_posix() not in found:
            old.unlink()
    for path, text in found.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
