"""A project beside a Hub on loopback: publishes, and reads back with the libraries that people use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import yaml

from tests.support.hub import LoopbackHub
from tests.support.project import Project, Result


class Publisher:
    """What publishes and reads back has a home folder of its own."""

    def __init__(self, project: Project, hub: LoopbackHub) -> None:
        self.project = project
        self.hub = hub
        self.environment = {**hub.environment, "HF_HOME": str(project.root / ".home")}

    def publish(self, *words: str, **environment: str) -> Result:
        return self.project.run("publish", *words, timeout=300, **{**self.environment, **environment})

    def ok(self, *words: str) -> Result:
        result = self.publish(*words)
        assert result.code == 0, result.out + result.err
        return result

    def code(self, *words: str, **environment: str) -> str:
        """The code of the one error that publishing ends with."""
        result = self.publish(*words, "--json", **environment)
        assert result.code in (1, 2), result.out + result.err
        (error,) = result.document["errors"]
        return str(error["code"])

    def python(self, text: str) -> str:
        """What a program that reads from the Hub prints."""
        done = subprocess.run(
            [sys.executable, "-c", text],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def read(self, text: str) -> Any:
        """The value of a Python expression over `load_dataset`."""
        return json.loads(self.python(f"import json; from datasets import load_dataset; print(json.dumps({text}))"))


def metadata(readme: bytes) -> dict[str, Any]:
    """The values of a README's YAML block."""
    return dict(yaml.safe_load(readme.decode().split("---\n")[1]))
