"""Asking a hosted model: dreammake beside a bare aiohttp loop, against a server that costs next to nothing."""

from __future__ import annotations

import heapq
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measure import Contestant, Measured, interleaved, measure
from results import Result, Target
from tools import command_of

_HERE = Path(__file__).parent
_DREAMFILE = """
model teacher: "openai/m"
    base_url: "{url}"
    concurrency: {at_once}

rule all:
    output: "data/answers"
    load: "rows.jsonl"
    prompt answer:
        model: teacher
        prompt: "Write a line about {{{{ n }}}}."
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running `prompt_server.py`."""

    url: str

    def told(self) -> dict[str, float]:
        """How many prompts came since the last time this was asked, and when the first did (Unix time, in s)."""
        with urllib.request.urlopen(self.url.removesuffix("v1")) as reply:
            found: dict[str, float] = json.load(reply)
            return found


def cases(folder: Path, rows: int, runs: int) -> Iterator[Result]:
    """Measure in `folder`; `rows` of the table of which one in a hundred changes."""
    folder.mkdir(parents=True, exist_ok=True)
    yield from _many(folder / "many", runs)
    yield _slow_tails(folder / "tails", runs)
    yield _few_at_once(folder / "few", runs)
    yield from _changed(folder / "changed", rows)


def _many(folder: Path, runs: int) -> Iterator[Result]:
    count, at_once = 10_000, 256
    with _server("--latency", "0.1") as server:
        ours = _project(folder, server, count, at_once)
        loop = Contestant("aiohttp loop", _loop(server, count, at_once), ours.folder)
        wall = Target("1.25 x the loop, 250 MiB", "aiohttp loop", 1.25, mebibytes=250)
        measured = interleaved([ours, loop], runs)
        yield Result(f"{count:,} prompts at 100 ms, {at_once} at once", measured, (wall,))

        firsts, cpus = [], []
        for _ in range(runs):
            _forget(ours.folder)
            server.told()
            began, spent = time.time(), _cpu_of_children()
            problem = measure(ours).problem
            cpus.append(_cpu_of_children() - spent)
            firsts.append(server.told()["first"] - began)
        cpu = {"dreammake": Measured(median(cpus), problem=problem)}
        yield Result("the same: CPU a prompt", cpu, (Target("0.5 ms", seconds=0.0005 * count),), jobs=count)
        first = {"dreammake": Measured(median(firsts), problem=problem)}
        yield Result("the same: from the shell to the first request", first, (Target("1 s", seconds=1.0),))

        cached = Contestant("dreammake", ours.command, ours.folder, lambda: _remove_target(ours.folder))
        target = Target("2 s", seconds=2.0)
        yield Result(f"{count:,} rows all cached, target deleted", interleaved([cached], runs), (target,))
        assert server.told()["count"] == 0, "a cached prompt was asked again"


def _slow_tails(folder: Path, runs: int) -> Result:
    count, at_once, latency, slow, every = 200, 10, 0.1, 2.0, 20
    seconds = _ideal([slow if number % every == 0 else latency for number in range(1, count + 1)], at_once)
    with _server("--latency", str(latency), "--slow", str(slow), "--slow-every", str(every)) as server:
        ours = _project(folder, server, count, at_once)
        loop = Contestant("aiohttp loop", _loop(server, count, at_once), ours.folder)
        measured = {**interleaved([ours, loop], runs), "ideal": Measured(seconds)}
    case = f"{count} prompts, every {every}th takes {slow:g} s, {at_once} at once"
    return Result(case, measured, (Target("1.3 x the ideal", "ideal", 1.3),))


def _few_at_once(folder: Path, runs: int) -> Result:
    """DataDreamer's own case; it takes 15.9 s."""
    count, at_once, latency = 1000, 10, 0.05
    with _server("--latency", str(latency)) as server:
        ours = _project(folder, server, count, at_once)
        loop = Contestant("aiohttp loop", _loop(server, count, at_once), ours.folder)
        measured = {**interleaved([ours, loop], runs), "ideal": Measured(count / at_once * latency)}
    return Result(
        f"{count:,} prompts at 50 ms, {at_once} at once", measured, (Target("1.2 x the ideal", "ideal", 1.2),)
    )


def _changed(folder: Path, rows: int) -> Iterator[Result]:
    """One run each: the first build, which fills the cache, takes minutes."""
    share = rows / 1_000_000
    with _server() as server:
        ours = _project(folder, server, rows, 256)
        built = measure(ours, limit=3600)
        yield Result(f"{rows:,} prompts at 0 ms", {"dreammake": built}, jobs=rows)

        command = [sys.executable, str(_HERE / "look_ups.py"), str(ours.folder)]
        alone = measure(Contestant("dreammake", command, ours.folder, expect=f"{rows} found of {rows}"))
        target = Target(f"{10 * share:g} s", seconds=10 * share)
        yield Result(f"{rows:,} look-ups alone", {"dreammake": alone}, (target,))

        _remove_target(ours.folder)
        yield Result(f"{rows:,} rows all cached, target deleted", {"dreammake": measure(ours, limit=600)})

        _write_rows(ours.folder, rows, changed=rows // 100)
        server.told()
        target = Target(f"{60 * share:g} s, 700 MiB", seconds=60 * share, mebibytes=700)
        measured = measure(ours, limit=600)
        asked = server.told()["count"]
        assert asked == rows // 100, f"{asked} prompts were asked"
        yield Result(f"{rows:,} rows of which 1 % changed", {"dreammake": measured}, (target,))


def _project(folder: Path, server: Server, rows: int, at_once: int) -> Contestant:
    folder.mkdir(parents=True)
    (folder / "Dreamfile").write_text(_DREAMFILE.format(url=server.url, at_once=at_once))
    _write_rows(folder, rows)
    return Contestant("dreammake", command_of("dreammake") or [], folder, lambda: _forget(folder), expect="1 built")


def _write_rows(folder: Path, rows: int, changed: int = 0) -> None:
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(rows):
            file.write(f'{{"n": "{"new" if number < changed else "number"} {number}"}}\n')


def _forget(folder: Path) -> None:
    _remove_target(folder)
    shutil.rmtree(folder / ".dreammake", ignore_errors=True)


def _remove_target(folder: Path) -> None:
    shutil.rmtree(folder / "data", ignore_errors=True)


def _loop(server: Server, count: int, at_once: int) -> list[str]:
    return [sys.executable, str(_HERE / "prompt_loop.py"), server.url, str(count), str(at_once)]


@contextmanager
def _server(*options: str) -> Iterator[Server]:
    command = [sys.executable, str(_HERE / "prompt_server.py"), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield Server(f"http://127.0.0.1:{process.stdout.readline().strip()}/v1")
        finally:
            process.stdin.close()


def _ideal(seconds: list[float], at_once: int) -> float:
    """How long requests take that start in this order, each as soon as one of `at_once` places is free."""
    places = [0.0] * at_once
    for each in seconds:
        heapq.heapreplace(places, places[0] + each)
    return max(places)


def _cpu_of_children() -> float:
    """Seconds of CPU, user's and system's, of all processes that were started and waited for."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
