"""A project in a temporary folder, and the real command line run on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Result:
    """How a command ended: exit code, what it printed, and its errors."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document of `--json`."""
        return json.loads(self.out)

    @property
    def events(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Project:
    """`write` a Dreamfile and files, `run` commands, look at what was `built`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, dreamfile: str, **files: str) -> Project:
        """Write the Dreamfile (dedented), and other files by name: `__` is a slash, the last `_` a dot."""
        self.file("Dreamfile", textwrap.dedent(dreamfile))
        for name, text in files.items():
            self.file(name, text)
        return self

    def file(self, path: str, text: str) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def edit(self, old: str, new: str, path: str = "Dreamfile") -> None:
        text = (self.root / path).read_text()
        assert old in text, f"{old!r} is not in {path}"
        (self.root / path).write_text(text.replace(old, new))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "dreammake", *words]

    def environment(self, **more: str) -> dict[str, str]:
        paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            **more,
        }

    def run(self, *words: str, timeout: float = 100, **environment: str) -> Result:
        done = subprocess.run(
            self.command(*words),
            cwd=self.root,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """The command in the background, in a process group of its own."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.root,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def ok(self, *words: str, **environment: str) -> Result:
        """Run, and insist that it went well."""
        result = self.run(*words, **environment)
        assert result.code == 0, f"exit code {result.code}\n{result.out}\n{result.err}"
        return result

    def built(self, *words: str) -> list[str]:
        """Build, and give the targets that were built, sorted."""
        events = self.ok(*words, "--json").events
        return sorted(event["target"] for event in events if event["event"] == "job-finished")

    def plan(self, *words: str) -> dict[str, str]:
        """The action of each target in a dry run."""
        document = self.ok(*words, "--dry-run", "--json").document
        return {target["target"]: target["action"] for target in document["targets"]}

    def reasons(self, target: str, *words: str) -> list[dict[str, Any]]:
        """The reasons that a dry run gives for a target."""
        document = self.ok(*words, "--dry-run", "--json").document
        return next(found["reasons"] for found in document["targets"] if found["target"] == target)

    def rows(self, path: str) -> list[dict[str, Any]]:
        from dreammake.store.dataset import open_dataset

        return list(open_dataset(self.root / path).dicts())


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
