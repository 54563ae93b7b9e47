"""dreammake beside make, ninja, doit and Snakemake: start, no-op, dry run, chains, and what a job costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from measure import Contestant, Measured, interleaved, measure
from projects import last_target, write
from results import Result, Target
from tools import command_of

TOOLS = ("dreammake", "make", "ninja", "doit", "snakemake")
_BUILD: Mapping[str, Sequence[str]] = {
    "dreammake": ("-j2",),
    "make": ("-s", "-j2"),
    "ninja": ("-j2", "--quiet"),
    "doit": ("-n", "2"),
    "snakemake": ("-j2", "-q"),
}
_DRY: Mapping[str, Sequence[str]] = {
    "dreammake": ("--dry-run",),
    "make": ("-n",),
    "ninja": ("-n",),
    "doit": ("list", "--all", "--status"),
    "snakemake": ("-n", "-j2"),
}
"""doit has no dry run: its list of all tasks with their state is the nearest."""
_FOLLOWS: Mapping[str, str] = {
    "dreammake": "{more} more follow",
    "make": "data/c{size}.txt",
    "ninja": "data/c{size}.txt",
    "doit": "link:{size}",
    "snakemake": "data/c{size}.txt",
}
"""What a dry run of the chain says when its source was edited (doit: of each task by itself, that it is there)."""
_SLOW = {"snakemake"}
"""A job takes a quarter of a second there: its outputs are made by hand, and it runs no 10,000 jobs."""


def cases(folder: Path, size: int, runs: int, tools: Sequence[str]) -> Iterator[Result]:
    """Measure every case in `folder`; yields each result as soon as it is there."""
    here = {tool: command for tool in tools if (command := command_of(tool))}
    folder.mkdir(parents=True, exist_ok=True)
    bench = _Bench(folder, here, runs)
    yield bench.version()
    yield bench.no_op("one", 1, (Target("doit", "doit", 1.0),))
    yield bench.no_op("wildcard", size, (Target("half of doit, 80 MiB", "doit", 0.5, mebibytes=80),))
    yield bench.no_op("written", size, (Target("doit", "doit", 1.0),))
    yield bench.dry_run(
        "wildcard", size, (Target("1.5 x doit's list", "doit", 1.5), Target("1/16 of Snakemake", "snakemake", 1 / 16))
    )
    yield bench.dry_run("chain", size, ())
    yield bench.no_op("chain", size, (Target("doit", "doit", 1.0),))
    yield bench.edited_chain(size)


def job_cases(folder: Path, size: int, runs: int, tools: Sequence[str]) -> Iterator[Result]:
    """What a job costs that only calls `cat`, and one that only lets the shell `echo`: of 200 jobs, and of `size`."""
    here = {tool: command for tool in tools if (command := command_of(tool))}
    folder.mkdir(parents=True, exist_ok=True)
    bench = _Bench(folder, here, runs)
    small = min(200, size)
    for shape in ("jobs", "echoes"):
        first = bench.jobs(shape, small, (Target("2 x make", "make", 2.0),))
        yield first
        if size > small:
            ours = first.measured.get("dreammake", Measured())
            limit = ours.seconds / (small - 1) * (size - 1) * 1.1
            yield bench.jobs(shape, size, (Target(f"the same a job as with {small}", seconds=limit),) if limit else ())


class _Bench:
    def __init__(self, folder: Path, commands: Mapping[str, Sequence[str]], runs: int) -> None:
        self.folder = folder
        self.commands = commands
        self.runs = runs

    def version(self) -> Result:
        contestants = [
            Contestant(tool, [*command, "--version"], self.folder) for tool, command in self.commands.items()
        ]
        return Result("`--version`", interleaved(contestants, max(5, self.runs)), (Target("doit", "doit", 1.0),))

    def no_op(self, shape: str, size: int, targets: tuple[Target, ...]) -> Result:
        return self._run(f"{_NAMES[shape].format(size=size)}, up to date", shape, size, _BUILD, targets, built=True)

    def dry_run(self, shape: str, size: int, targets: tuple[Target, ...]) -> Result:
        return self._run(f"{_NAMES[shape].format(size=size)}, all missing: dry run", shape, size, _DRY, targets)

    def edited_chain(self, size: int) -> Result:
        """A dry run after an edit of the source: a tool whose output does not name what follows failed."""
        name = f"{_NAMES['chain'].format(size=size)}, its source edited: dry run"

        def edit(folder: Path) -> None:
            (folder / "source.txt").write_text("edited\n")

        return self._run(name, "chain", size, _DRY, (), built=True, edit=edit)

    def jobs(self, shape: str, size: int, targets: tuple[Target, ...]) -> Result:
        """What a job costs beyond the first: builds of so many trivial shell jobs, two at once, from an empty folder
        each time, less the build of one."""
        many = self._whole_builds(shape, size)
        one = self._whole_builds(shape, 1)
        measured = {tool: _beyond(many[tool], one[tool]) for tool in many}
        what = {"jobs": "call `cat`", "echoes": "let the shell `echo`"}[shape]
        name = f"{size:,} shell jobs that only {what}, two at once: a job beyond the first"
        return Result(name, measured, targets, jobs=size - 1)

    def _whole_builds(self, shape: str, size: int) -> Mapping[str, Measured]:
        contestants = []
        for tool, command in self.commands.items():
            if tool in _SLOW and size > 200:
                continue
            folder = self.folder / f"{shape}-{size}-{tool}"

            def reset(tool: str = tool, folder: Path = folder) -> None:
                # Moved, not removed: for minutes after many files were deleted, ext4 is slow to make new ones.
                if folder.exists():
                    folder.rename(folder.with_name(f"{folder.name}-{time.monotonic_ns()}"))
                write(tool, shape, folder, size)

            reset()
            contestants.append(Contestant(tool, [*command, *_BUILD[tool]], folder, reset))
        return interleaved(contestants, self.runs if size <= 200 else 1)

    def _run(
        self,
        name: str,
        shape: str,
        size: int,
        options: Mapping[str, Sequence[str]],
        targets: tuple[Target, ...],
        *,
        built: bool = False,
        edit: Callable[[Path], None] | None = None,
    ) -> Result:
        contestants, failed = [], {}
        for tool, command in self.commands.items():
            folder = (
                self.folder / f"{shape}-{size}-{tool}-{'built' if built else 'new'}{'-edited' * (edit is not None)}"
            )
            if not folder.exists():
                write(tool, shape, folder, size)
                problem = self._build(tool, shape, size, folder) if built else ""
                if problem:
                    failed[tool] = Measured(problem=problem)
                    continue
                if edit:
                    edit(folder)
            expect = _FOLLOWS[tool].format(size=size, more=f"{size - 1:,}") if edit else ""
            contestants.append(Contestant(tool, [*command, *options[tool]], folder, expect=expect))
        return Result(name, {**interleaved(contestants, self.runs), **failed}, targets)

    def _build(self, tool: str, shape: str, size: int, folder: Path) -> str:
        """Build a project once; says what went wrong."""
        if tool in _SLOW and size > 200:
            targets = (
                [f"data/c{i}.txt" for i in range(1, size + 1)]
                if shape == "chain"
                else [f"out/{i}.txt" for i in range(size)]
            )
            for target in targets:
                (folder / target).write_text("made by hand\n")
            return ""
        measured = measure(Contestant(tool, [*self.commands[tool], *_BUILD[tool]], folder), limit=1800)
        if not measured.problem and not (folder / last_target(shape, size)).exists():
            return "the build made nothing"
        return measured.problem


def _beyond(many: Measured, one: Measured) -> Measured:
    """The time of many less the time of one."""
    if many.problem or one.problem:
        return Measured(problem=many.problem or one.problem)
    return Measured(many.seconds - one.seconds, many.mebibytes)


_NAMES = {
    "one": "one target",
    "wildcard": "{size:,} targets of one wildcard rule",
    "written": "{size:,} written-out rules",
    "chain": "a chain of {size:,}",
}
