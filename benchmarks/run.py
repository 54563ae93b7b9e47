"""Measures dreammake beside its peers, and writes docs/benchmarks.md.

python benchmarks/run.py                        all cases at full size: about an hour, most of it Snakemake
python benchmarks/run.py build_tools --size 500 --runs 3 --tools dreammake doit make
python benchmarks/run.py data_steps
python benchmarks/run.py prompts --rows 100000
python benchmarks/run.py training --runs 3 --steps 40
python benchmarks/run.py publishing --rows 1000000 --runs 3
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import build_tools
import data_steps
import local_models
import meanings
import prompts
import publishing
import training
from results import Result, table
from tools import version_of

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_TITLES = {
    "build_tools": "Build tools",
    "jobs": "What a job costs",
    "data_steps": "Data steps",
    "meanings": "Steps over meanings",
    "prompts": "Prompts",
    "local_models": "Models on this machine",
    "training": "Training",
    "publishing": "Publishing",
}


def main() -> int:
    arguments = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="dreammake-bench-", dir=arguments.folder))
    sections = _sections(arguments.output)
    met = True
    try:
        for group in arguments.groups:
            results = []
            for result in _cases(group, folder / group, arguments):
                print("\n".join([line for line in table([result]).splitlines() if line][2:]), flush=True)
                results.append(result)
                met &= all(target.met(result.measured) is not False for target in result.targets)
            sections[_TITLES[group]] = f"{_made_by(group, arguments)}\n\n{table(results)}"
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    _write(arguments.output, sections)
    print(f"written: {arguments.output}")
    return 0 if met or not arguments.check else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"what to measure: {', '.join(_TITLES)} (default: all)"
    )
    parser.add_argument("--size", type=int, default=10_000, help="targets of the large build cases")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the data case")
    parser.add_argument("--steps", type=int, default=40, help="steps of each training")
    parser.add_argument("--runs", type=int, default=5, help="runs of each; the median counts")
    parser.add_argument("--tools", nargs="+", default=list(build_tools.TOOLS), help="build tools to measure")
    parser.add_argument("--folder", help="where the projects are made (default: the system's temporary folder)")
    parser.add_argument("--output", type=Path, default=PAGE)
    parser.add_argument("--keep", action="store_true", help="leave the projects there")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    arguments = parser.parse_args()
    arguments.groups = arguments.groups or list(_TITLES)
    for group in arguments.groups:
        if group not in _TITLES:
            parser.error(f"no group `{group}`; there are {', '.join(_TITLES)}")
    return arguments


def _cases(group: str, folder: Path, arguments: argparse.Namespace) -> Iterator[Result]:
    if group == "build_tools":
        return build_tools.cases(folder, arguments.size, arguments.runs, arguments.tools)
    if group == "jobs":
        return build_tools.job_cases(folder, arguments.size, arguments.runs, arguments.tools)
    if group == "prompts":
        return prompts.cases(folder, arguments.rows, arguments.runs)
    if group == "meanings":
        return meanings.cases(folder, arguments.rows, arguments.runs)
    if group == "local_models":
        return local_models.cases(folder, arguments.runs)
    if group == "training":
        return training.cases(folder, arguments.runs, arguments.steps)
    if group == "publishing":
        return publishing.cases(folder, arguments.rows, arguments.runs)
    return data_steps.cases(folder, arguments.rows, arguments.runs)


def _sections(page: Path) -> dict[str, str]:
    """The groups that the page holds already, by title: those that are not measured now stay."""
    if not page.exists():
        return {}
    parts = re.split(r"^## (.+)\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {title: text.strip() for title, text in zip(parts[::2], parts[1::2], strict=True)}


def _write(page: Path, sections: Mapping[str, str]) -> None:
    text = "# Benchmarks\n\nMedians of runs in turn: wall time; the largest process of each tool, where it shows.\n"
    for title in _TITLES.values():
        if title in sections:
            text += f"\n## {title}\n\n{sections[title]}\n"
    page.write_text(text, encoding="utf-8")


def _made_by(group: str, arguments: argparse.Namespace) -> str:
    options = [f"--size {arguments.size}", f"--rows {arguments.rows}", f"--runs {arguments.runs}"]
    options += [f"--steps {arguments.steps}"] if group == "training" else []
    tools = arguments.tools if group in ("build_tools", "jobs") else ["dreammake"]
    if group in ("build_tools", "jobs") and list(tools) != list(build_tools.TOOLS):
        options.append(f"--tools {' '.join(tools)}")
    versions = ", ".join(version_of(tool) for tool in tools)
    return "\n".join(
        [
            f"Made by `python benchmarks/run.py {' '.join([group, *options])}`.",
            "",
            f"- machine: {_machine()}",
            f"- Python {platform.python_version()}, {versions}",
        ]
    )


def _machine() -> str:
    """Processor, cores, memory, system."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release().split('-')[0]}"


if __name__ == "__main__":
    sys.exit(main())
