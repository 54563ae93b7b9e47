"""What was measured, against what it should be, as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from measure import Measured


@dataclass(frozen=True, slots=True)
class Target:
    """What dreammake should reach: at most `times` what `peer` takes, or at most `seconds` or `mebibytes` by itself."""

    text: str
    peer: str = ""
    times: float = 0.0
    seconds: float = 0.0
    mebibytes: float = 0.0

    def met(self, measured: Mapping[str, Measured]) -> bool | None:
        """None where one of the two was not measured."""
        ours, theirs = measured.get("dreammake"), measured.get(self.peer)
        if ours is None or ours.problem:
            return None
        if self.peer and (theirs is None or theirs.problem):
            return None
        limits = [ours.seconds <= self.seconds] if self.seconds else []
        limits += [ours.mebibytes <= self.mebibytes] if self.mebibytes else []
        limits += [ours.seconds <= self.times * theirs.seconds] if theirs and self.peer else []
        return all(limits)


@dataclass(frozen=True, slots=True)
class Result:
    """One line of a table: a case and what each tool took. `jobs` divides the times, to milliseconds a job."""

    case: str
    measured: Mapping[str, Measured]
    targets: tuple[Target, ...] = ()
    jobs: int = 0

    def cell(self, tool: str) -> str:
        found = self.measured.get(tool)
        if found is None:
            return ""
        if found.problem:
            return "failed" if not found.problem.startswith("over") else found.problem
        time = f"{found.seconds / self.jobs * 1000:.2f} ms" if self.jobs else f"{found.seconds:.3f} s"
        return f"{time}, {found.mebibytes:.0f} MiB" if found.mebibytes else time

    def problems(self) -> list[str]:
        return [f"{self.case}, {tool}: {found.problem}" for tool, found in self.measured.items() if found.problem]


def table(results: Sequence[Result]) -> str:
    """A row a case, a column a tool, and the targets with whether they are met."""
    tools = list(dict.fromkeys(tool for result in results for tool in result.measured))
    rows = [["case", *tools, "target", "met"], ["---"] * (len(tools) + 3)]
    for result in results:
        targets = "; ".join(target.text for target in result.targets)
        met = ", ".join(_WORDS[target.met(result.measured)] for target in result.targets)
        rows.append([result.case, *(result.cell(tool) for tool in tools), targets, met])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    problems = [f"- {problem}" for result in results for problem in result.problems()]
    return "\n".join([*lines, *([""] if problems else []), *problems])


_WORDS = {True: "yes", False: "**no**", None: "not measured"}
