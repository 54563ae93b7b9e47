"""The same small projects, written for each tool: `write(tool, shape, folder, size)`.

one        a single target from a single source
wildcard   `size` targets out/I.txt, each from in/I.txt, by one rule (ninja has none: it gets them written out)
written    the same, each by a rule of its own
chain      data/c1.txt ... data/cN.txt, each from the one before; the first from source.txt
jobs       `size` targets from nothing, by `cat`
echoes     the same by a command of the shell's own
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

SHAPES = ("one", "wildcard", "written", "chain", "jobs", "echoes")


def write(tool: str, shape: str, folder: Path, size: int) -> None:
    """Write the project and its sources into a new folder."""
    for name in ("in", "out", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "source.txt").write_text("source\n")
    for number in range(1 if shape == "one" else size if shape in ("wildcard", "written") else 0):
        (folder / "in" / f"{number}.txt").write_text(f"{number}\n")
    file, lines = _WRITERS[tool]
    alike = {"one": "wildcard", "echoes": "jobs"}.get(shape, shape)
    text = "\n".join(lines(alike, 1 if shape == "one" else size)) + "\n"
    (folder / file).write_text(text.replace("cat /dev/null", "echo 1") if shape == "echoes" else text)


def last_target(shape: str, size: int) -> str:
    """A target that is there once all is built."""
    return f"data/c{size}.txt" if shape == "chain" else f"out/{0 if shape == 'one' else size - 1}.txt"


def _dreammake(shape: str, size: int) -> Iterable[str]:
    every = f'input: expand("out/{{i}}.txt", i=range({size}))'
    match shape:
        case "wildcard":
            yield f"rule all:\n    {every}"
            yield _rule("one", "in/{i}.txt", "out/{i:int}.txt")
        case "jobs":
            yield f'rule all:\n    {every}\n\nrule one:\n    output: "out/{{i:int}}.txt"'
            yield '    shell: "cat /dev/null > {output}"'
        case "written":
            yield f"rule all:\n    {every}"
            for i in range(size):
                yield _rule(f"r{i}", f"in/{i}.txt", f"out/{i}.txt")
        case "chain":
            yield f'rule all:\n    input: "data/c{size}.txt"\n\nrule link:'
            yield '    input: "data/c{i - 1}.txt" if i > 1 else "source.txt"\n    output: "data/c{i:int}.txt"'
            yield '    shell: "cat {input} > {output}"'


def _doit(shape: str, size: int) -> Iterable[str]:
    yield 'DOIT_CONFIG = {"verbosity": 0}'
    task = (
        '"actions": [{f}"cat in/{i}.txt > out/{i}.txt"], "file_dep": [{f}"in/{i}.txt"], "targets": [{f}"out/{i}.txt"]'
    )
    match shape:
        case "wildcard":
            yield f"def task_one():\n    for i in range({size}):"
            yield f'        yield {{"name": str(i), {task.format(f="f", i="{i}")}}}'
        case "jobs":
            yield f"def task_one():\n    for i in range({size}):"
            yield '        yield {"name": str(i), "actions": [f"cat /dev/null > out/{i}.txt"],'
            yield '               "targets": [f"out/{i}.txt"], "uptodate": [True]}'
        case "written":
            for i in range(size):
                yield f"def task_r{i}():\n    return {{{task.format(f='', i=i)}}}"
        case "chain":
            yield f"def task_link():\n    for i in range(1, {size + 1}):"
            yield '        before = f"data/c{i - 1}.txt" if i > 1 else "source.txt"'
            yield '        yield {"name": str(i), "actions": [f"cat {before} > data/c{i}.txt"],'
            yield '               "file_dep": [before], "targets": [f"data/c{i}.txt"]}'


def _make(shape: str, size: int) -> Iterable[str]:
    if shape == "chain":
        yield f"all: data/c{size}.txt"
        for i in range(1, size + 1):
            yield f"data/c{i}.txt: {_before(i)}\n\tcat $< > $@"
        return
    yield f"all: {' '.join(f'out/{i}.txt' for i in range(size))}"
    match shape:
        case "wildcard":
            yield "out/%.txt: in/%.txt\n\tcat $< > $@"
        case "jobs":
            yield "out/%.txt:\n\tcat /dev/null > $@"
        case "written":
            yield from (f"out/{i}.txt: in/{i}.txt\n\tcat $< > $@" for i in range(size))


def _ninja(shape: str, size: int) -> Iterable[str]:
    yield "rule copy\n  command = cat $in > $out\nrule echo\n  command = cat /dev/null > $out"
    match shape:
        case "chain":
            yield from (f"build data/c{i}.txt: copy {_before(i)}" for i in range(1, size + 1))
        case "jobs":
            yield from (f"build out/{i}.txt: echo" for i in range(size))
        case _:
            yield from (f"build out/{i}.txt: copy in/{i}.txt" for i in range(size))


def _snakemake(shape: str, size: int) -> Iterable[str]:
    every = f'rule all:\n    input: expand("out/{{i}}.txt", i=range({size}))'
    match shape:
        case "wildcard":
            yield every
            yield _rule("one", "in/{i}.txt", "out/{i}.txt")
        case "jobs":
            yield every
            yield 'rule one:\n    output: "out/{i}.txt"\n    shell: "cat /dev/null > {output}"'
        case "written":
            yield every
            for i in range(size):
                yield _rule(f"r{i}", f"in/{i}.txt", f"out/{i}.txt")
        case "chain":
            yield f'rule all:\n    input: "data/c{size}.txt"\nrule link:'
            yield '    input: lambda w: f"data/c{int(w.i) - 1}.txt" if int(w.i) > 1 else "source.txt"'
            yield '    output: "data/c{i}.txt"\n    shell: "cat {input} > {output}"'


def _rule(name: str, source: str, target: str) -> str:
    """A rule that copies; dreammake and Snakemake write it the same way."""
    return f'\nrule {name}:\n    input: "{source}"\n    output: "{target}"\n    shell: "cat {{input}} > {{output}}"'


def _before(i: int) -> str:
    return f"data/c{i - 1}.txt" if i > 1 else "source.txt"


_WRITERS: dict[str, tuple[str, Callable[[str, int], Iterable[str]]]] = {
    "dreammake": ("Dreamfile", _dreammake),
    "doit": ("dodo.py", _doit),
    "make": ("Makefile", _make),
    "ninja": ("build.ninja", _ninja),
    "snakemake": ("Snakefile", _snakemake),
}
