"""Loads a user's function from a file of the project, and turns what goes wrong in it into an error."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from dreammake.core.diagnostic import Diagnostic, DreamError, fail
from dreammake.core.spelling import did_you_mean

_loaded: set[str] = set()
"""Names of the modules that came with users' files, so that an edited one is read anew."""

_GATHERING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class UserFunction:
    """A function of the user's, `file.py:function`. Its errors are DreamErrors `python-failed`."""

    def __init__(self, reference: str, project: Path, say: Callable[[str], None]) -> None:
        file, _, name = reference.rpartition(":")
        self.reference = reference
        self.name = name
        self._project = project.resolve()
        self._say = say
        module = self._load(self._project / file, file)
        self._function = getattr(module, name, None)
        if not callable(self._function):
            known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
            fail("no-such-function", f"`{file}` has no function `{name}`", hint=did_you_mean(name, known))

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the parameters that have no default."""
        found = self._parameters()
        return tuple(one.name for one in found if one.default is one.empty and one.kind not in _GATHERING)

    @property
    def takes_any_name(self) -> bool:
        """Whether there is a `**kwargs`."""
        return any(one.kind is one.VAR_KEYWORD for one in self._parameters())

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, without `*args` and `**kwargs`."""
        return tuple(one.name for one in self._parameters() if one.kind not in _GATHERING)

    def _parameters(self) -> tuple[inspect.Parameter, ...]:
        try:
            return tuple(inspect.signature(self._function).parameters.values())  # type: ignore[arg-type]
        except (TypeError, ValueError):  # some that are written in C do not tell
            return (inspect.Parameter("row", inspect.Parameter.POSITIONAL_OR_KEYWORD),)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self.guarded():
            return self._function(*args, **kwargs)  # type: ignore[misc]

    def items(self, made: Any) -> Iterator[Any]:
        """What a call returned, one by one: a generator of the user's runs here."""
        iterator = iter(made)
        while True:
            with self.guarded():
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    @contextmanager
    def guarded(self) -> Iterator[None]:
        try:
            yield
        except DreamError:
            raise
        except (Exception, SystemExit) as error:
            self._failed(error)

    def wrong(self, what: str) -> NoReturn:
        fail("python-failed", f"`{self.reference}` {what}", exit_code=1)

    def _failed(self, error: BaseException) -> NoReturn:
        """One sentence for the user, and the frames of the project's own code for the log."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if self._is_own(frame.filename)]
        lines = traceback.format_list(own) + traceback.format_exception_only(error)
        for line in "".join(lines).rstrip().split("\n"):
            self._say(line)
        reason = " ".join(str(error).split()) or type(error).__name__
        where = f" ({Path(own[-1].filename).relative_to(self._project)}:{own[-1].lineno})" if own else ""
        message = f"`{self.reference}` failed: {type(error).__name__}: {reason}{where}"
        found = Diagnostic("python-failed", message, hint="the job's log has the traceback")
        raise DreamError(found, exit_code=1) from error

    def _is_own(self, filename: str) -> bool:
        path = Path(filename)
        return path.is_relative_to(self._project) and "site-packages" not in path.parts

    def _load(self, path: Path, shown: str) -> ModuleType:
        """Run the file as a module, from its text: bytecode beside it could be of an older edit."""
        try:
            text = path.read_bytes()
        except OSError as error:
            fail("no-such-file", f"`{shown}` cannot be read: {error.strerror}")
        for name in _loaded:
            sys.modules.pop(name, None)
        _loaded.clear()
        name = ".".join(Path(shown).with_suffix("").parts)
        if name in sys.modules or name in sys.stdlib_module_names:
            name = f"dreamfile_{name}"
        module = ModuleType(name)
        module.__file__ = str(path)
        with _importable(path.parent, self._project), self.guarded():
            sys.modules[name] = module
            exec(compile(text, str(path), "exec"), vars(module))
        return module


@contextmanager
def _importable(*folders: Path) -> Iterator[None]:
    """The folders stand first on the import path for a moment, and last from then on."""
    before, bytecode = set(sys.modules), sys.dont_write_bytecode
    names = [str(folder) for folder in folders]
    rest = [entry for entry in sys.path if entry not in names]
    sys.path[:] = [*names, *rest]
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path[:] = [*rest, *dict.fromkeys(names)]
        sys.dont_write_bytecode = bytecode
        new = {name: sys.modules.get(name) for name in set(sys.modules) - before}
        _loaded.update(name for name, module in new.items() if _is_in(module, folders))


def _is_in(module: ModuleType | None, folders: tuple[Path, ...]) -> bool:
    file = str(getattr(module, "__file__", None) or "")
    return file != "" and "site-packages" not in file and any(Path(file).is_relative_to(f) for f in folders)
