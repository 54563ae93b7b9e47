"""What must not be written: keys, tokens and the values that `env()` read, each by the name that may stand for it.

One registry a process, as the environment is: what reads a secret registers it, a forked worker inherits it, and all
that writes (logs, errors, recipes, cards, events) passes through `hide`, which knows credentials in addresses by their
place, too: `https://me:pass@host/?key=abc` becomes `https://…@host/?key=…`. Of output, which may be rows, only values
are hidden.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TextIO

from dreammake.core.diagnostic import Diagnostic, Note

_NAMED_SECRET = re.compile(r"(^|[_-])(API_?KEY|KEY|TOKEN|SECRET|PASS|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)$", re.I)
_IN_ADDRESS = re.compile(
    r"""(?<=://)[^\s/@:"'`]*:(?P<password>[^\s/@"'`]+)(?=@)"""
    r"""|(?P<name>[?&](?:(?:api|access)[_-]?)?(?:key|token|secret|password|signature)=)(?P<key>[^&\s"'`)>\]]+)""",
    re.I,
)
"""Credentials in an address: a user with a password, and values in its query whose names say that they are keys."""
SHORTEST = 8
SHORTEST_NAMED = 4
"""Letters that a value has at least; shorter ones would be found in texts by chance. One whose name says that it is a
secret may be as short as the second."""


class Secrets:
    """Values that are hidden, and what stands in their place."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._sure: set[str] = set()
        """Values of variables whose name says that they are secrets."""
        self._forms: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def __bool__(self) -> bool:
        return bool(self._values)

    def add(self, value: Any, shown: str, name: str = "") -> None:
        """Hide a value from now on: `shown` stands in its place. `name` is the variable's."""
        sure = _NAMED_SECRET.search(name) is not None
        if not isinstance(value, str) or len(value) < (SHORTEST_NAMED if sure else SHORTEST):
            return
        if sure:
            self._sure.add(value)
        if value not in self._values or shown < self._values[value]:
            self._values[value] = shown
            self._prepare()
        self.add_credentials(value, shown)

    def add_credentials(self, text: Any, shown: str) -> None:
        """Hide the credentials in the addresses of a text wherever they stand, but for short ones and a password that
        is the user's name."""
        if not isinstance(text, str) or "://" not in text:
            return
        from urllib.parse import unquote

        for found in _IN_ADDRESS.finditer(text):
            secret = found["password"] or found["key"]
            if len(secret) >= SHORTEST and secret != found[0].partition(":")[0]:
                for value in {secret, unquote(secret)}:
                    self.add(value, shown, name="KEY")

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Hide the variables whose names say what they are: OPENAI_API_KEY, HF_TOKEN, ..."""
        for name, value in environment.items():
            if len(value) >= SHORTEST and _NAMED_SECRET.search(name):
                self.add(value, f"env({name})", name)

    def sure(self) -> list[tuple[str, bytes]]:
        """The values that are secrets for sure, as UTF-8, each behind what stands in its place."""
        values = sorted(self._sure & {*self._values})
        return [(self._values[value], value.encode("utf-8", "surrogatepass")) for value in values]

    def reveal(self, text: str) -> None:
        """The text stands where everybody sees it, as a folder's name, say: a value in it is no secret after all,
        unless its name says so."""
        if self._pattern is None or len(self._values) == len(self._sure) or not self._pattern.search(text):
            return
        for value in [value for value in self._values if value in text and value not in self._sure]:
            del self._values[value]
            self._prepare()

    def _prepare(self) -> None:
        self._forms = {form: shown for value, shown in self._values.items() for form in _forms(value)}
        longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def hide_values(self, text: str) -> str:
        """The text with the name of each secret in its place."""
        return text if self._pattern is None else self._pattern.sub(lambda found: self._forms[found[0]], text)

    def hide(self, text: str) -> str:
        """The same, without the credentials of addresses."""
        text = self.hide_values(text)
        return _IN_ADDRESS.sub(lambda found: f"{found['name'] or ''}…", text) if "://" in text else text

    def hide_in(self, value: Any) -> Any:
        """A JSON value with all its texts hidden."""
        return _mapped(value, self.hide)

    def hide_from(self, diagnostic: Diagnostic) -> Diagnostic:
        """The diagnostic with all its texts hidden."""
        notes = tuple(Note(self.hide(note.message), note.span) for note in diagnostic.notes)
        message, label, hint = map(self.hide, (diagnostic.message, diagnostic.label, diagnostic.hint))
        return replace(diagnostic, message=message, label=label, hint=hint, notes=notes)

    def seal_in(self, value: Any) -> Any:
        """The same, each name with a digest of its value behind it, so that another value is another text."""
        return _mapped(value, self._seal)

    def _seal(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(lambda found: f"{self._forms[found[0]]}#{_digest(found[0])}", text)
        if "://" in text:
            text = _IN_ADDRESS.sub(lambda found: f"{found['name'] or ''}…#{_digest(found[0])}", text)
        return text


SECRETS = Secrets()
"""Those of this process."""


class HidingStream:
    """A text stream that hides secrets in what is written to it."""

    def __init__(self, stream: TextIO, secrets: Secrets = SECRETS) -> None:
        self._stream = stream
        self._secrets = secrets

    def write(self, text: str) -> int:
        self._stream.write(self._secrets.hide_values(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _forms(value: str) -> set[str]:
    """A value as it may be written: as it is, in an address, in JSON, in Python."""
    from urllib.parse import quote

    in_json = {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return {value, quote(value, safe=""), quote(value), repr(value)[1:-1]} | in_json


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case Mapping():
            return {change(key) if isinstance(key, str) else key: _mapped(item, change) for key, item in value.items()}
        case list() | tuple():
            return [_mapped(item, change) for item in value]
    return value


def _digest(value: str) -> str:
    """32 bits: enough to tell two values apart, too few to find one by."""
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]
