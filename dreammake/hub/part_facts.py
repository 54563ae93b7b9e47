"""What is known of a model or a dataset that others made: its licence, where it is described, what to cite.

It stands in `known/`, and before that in the project's own `licenses.toml`:

    [datasets."data/papers.csv"]
    license = "cc-by-4.0"
    url = "https://example.org/papers"
    cite = "@misc{papers, title = {...}}"

    [models."openai/our-own"]
    license = "our-licence"

    [licenses.our-licence]
    name = "Our licence"
    url = "https://example.org/licence"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.embedded import EMBEDDED, HUB_NAME
from dreammake.hub.front_matter import split_front_matter
from dreammake.plan.chain import Part

PROJECT_FILE = "licenses.toml"
SCRIPTED = "scripted"
"""The engine that runs no model: the names of its models mean nothing."""

_KNOWN = Path(__file__).parent / "known"
_MAKERS = {"gpt-": "openai/", "claude-": "anthropic/", "gemini-": "gemini/"}
"""Whose models have names that begin so, where no provider stands before them."""

ReadCard = Callable[[Part], str | None]
"""The README of a part that lies on this machine."""


@dataclass(frozen=True, slots=True)
class License:
    """A licence, and what it asks of whatever is made under it (`known/licenses.toml` tells more)."""

    id: str
    name: str
    url: str = ""
    rank: int = 20
    share_alike: bool = False
    noncommercial: bool = False
    no_derivatives: bool = False
    passed_on: bool = False
    restricts: str = ""
    own: bool = False
    also: tuple[str, ...] = ()
    """Other licences that it may be changed into."""


@dataclass(frozen=True, slots=True)
class PartFacts:
    """A part with all that is known of it; `license` is None where nobody says it."""

    part: Part
    license: License | None = None
    url: str = ""
    card: str = ""
    citations: tuple[str, ...] = ()
    """BibTeX."""
    languages: tuple[str, ...] = ()

    @property
    def hub_name(self) -> str | None:
        """Its name on the Hub, where it is there."""
        return hub_name(self.part)


class Known:
    """The tables, those of the project first. Raises DreamError `bad-config-file` where its file cannot be read."""

    def __init__(self, project: Path, read_card: ReadCard = lambda part: None) -> None:
        own = _read_project(project / PROJECT_FILE)
        self._read_card = read_card
        self._citations = _citations((_KNOWN / "citations.bib").read_text(encoding="utf-8"))
        self._tables = {
            kind: [own.get(f"{kind}s", {}), _read(_KNOWN / f"{kind}s.toml")] for kind in ("model", "dataset")
        }
        named = _read(_KNOWN / "licenses.toml") | own.get("licenses", {})
        self.licenses = {name: _license(name, entry) for name, entry in named.items()}

    def facts(self, part: Part) -> PartFacts:
        """What is known of a part: the most exact entry of the first table that has one, else its own README."""
        entry = self._entry(part) or _entry_of_card(self._read_card(part))
        on_hub = hub_name(part)
        page = f"https://huggingface.co/{'datasets/' if part.kind == 'dataset' else ''}{on_hub}" if on_hub else ""
        cite = entry.get("cite", [])
        languages = entry.get("language", [])
        return PartFacts(
            part,
            self.license(entry["license"]) if entry.get("license") else None,
            entry.get("url", page),
            entry.get("card", page if on_hub else ""),
            tuple(self._citations.get(one, one) for one in ([cite] if isinstance(cite, str) else cite)),
            tuple([languages] if isinstance(languages, str) else languages),
        )

    def license(self, name: str) -> License:
        """A licence by its name; one that nobody describes only has a name."""
        return self.licenses.get(name) or License(name, name)

    def _entry(self, part: Part) -> Mapping[str, Any]:
        tables = self._tables[part.kind]
        for table in tables[:1] if part.where == SCRIPTED else tables:
            for name in _names(part):
                fitting = [pattern for pattern in table if fnmatchcase(name.lower(), pattern.lower())]
                if fitting:
                    return dict(table[max(fitting, key=len)])
        return {}


def hub_name(part: Part) -> str | None:
    """The name of a part on the Hub; None where it is not there, or not known to be."""
    if part.name == EMBEDDED:
        return HUB_NAME
    if part.where in ("project", "machine", "api", SCRIPTED) or part.served:
        return None
    return part.name.split("#")[0].removesuffix("/") or None


def _names(part: Part) -> Iterator[str]:
    """The names by which a table may know a part: the most telling first."""
    if part.name == EMBEDDED:
        yield HUB_NAME
    provider, _, rest = part.name.partition("/")
    if part.served:
        # The provider's name is only the endpoint's protocol: `openai/` in front of whatever is served there.
        yield rest or provider
        return
    yield part.name
    if part.where == "api":
        yield from (maker + part.name for start, maker in _MAKERS.items() if part.name.startswith(start))
        if "/" in rest:
            yield rest


def _license(name: str, entry: Mapping[str, Any]) -> License:
    known = {key: value for key, value in entry.items() if key in License.__dataclass_fields__ and key != "id"}
    return License(name, **({"name": name} | known | {"also": tuple(entry.get("also", ()))}))


def _read(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        return tomllib.load(stream)


def _read_project(file: Path) -> dict[str, Any]:
    try:
        found = _read(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        hint = 'write [models."name"], and below it license = "..."'
        fail("bad-config-file", f"`{file.name}` is no TOML: {error}", hint=hint)
    for kind, table in found.items():
        if kind not in ("models", "datasets", "licenses"):
            fail("unknown-key", f"`{file.name}` has a table `{kind}`", hint="it has models, datasets and licenses")
        if not isinstance(table, dict) or not all(isinstance(entry, dict) for entry in table.values()):
            fail("bad-config-file", f"`{file.name}`: `{kind}` holds tables", hint=f'write [{kind}."name"]')
    return found


def _entry_of_card(text: str | None) -> Mapping[str, Any]:
    """What the front matter of a README tells."""
    data = split_front_matter(text)[0] if text else {}
    name = data.get("license_name") or data.get("license")
    url = {"url": data["license_link"]} if str(data.get("license_link", "")).startswith("http") else {}
    return {"license": name, "language": data.get("language") or [], **url} if isinstance(name, str) else {}


def _citations(text: str) -> dict[str, str]:
    """BibTeX entries by their keys."""
    return {match[1]: match[0] for match in re.finditer(r"^@\w+\{(\w+),.*?^\}", text, re.MULTILINE | re.DOTALL)}
