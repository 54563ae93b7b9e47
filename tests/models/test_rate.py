"""Limits a minute, on a clock that the tests turn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dreammake.models._rate import Rate, rate_file


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _moments(rate: Rate, clock: Clock, tokens: list[float]) -> list[float]:
    """When requests of so many tokens start, each as soon as it may."""
    found = []
    for count in tokens:
        while (wait := rate.take(count)) > 0:
            clock.now += wait
        found.append(clock.now)
    return found


@given(rpm=st.integers(1, 20_000), count=st.integers(1, 400))
def test_no_minute_has_more_requests_than_allowed(rpm: int, count: int) -> None:
    clock = Clock()
    moments = _moments(Rate(rpm, None, clock=clock), clock, [1.0] * count)
    for start in range(len(moments) - rpm):
        assert moments[start + rpm] - moments[start] >= 60 * (1 - 1e-9)


def test_all_that_is_allowed_is_used() -> None:
    for rpm in (1, 60, 6000):
        clock = Clock()
        moments = _moments(Rate(rpm, None, clock=clock), clock, [1.0] * 600)
        assert 600 / (moments[-1] - moments[0] + 60 / rpm) * 60 >= 0.98 * rpm


def test_tokens_are_counted_and_corrected() -> None:
    clock = Clock()
    rate = Rate(None, 600, clock=clock)
    assert rate.take(100) == 0
    assert round(rate.take(1)) == 10
    rate.settle(-50)
    assert round(rate.take(1)) == 5
    rate.settle(+150)
    assert round(rate.take(1)) == 20


def test_a_pause_saves_nothing_up() -> None:
    clock = Clock()
    rate = Rate(60, 6000, clock=clock)
    clock.now += 3600
    assert rate.take(1) == 0
    assert round(rate.take(1), 3) == 1


def test_processes_that_share_a_file_share_the_limit(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from dreammake.models._rate import Rate
rate = Rate(60, None, Path(sys.argv[1]), clock=lambda: 1000.0)
print(sum(rate.take(1) == 0 for _ in range(100)))
"""
    file = rate_file(tmp_path / "shared", "url", "model")
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert sum(int(process.communicate(timeout=60)[0]) for process in processes) == 1


def test_what_another_model_or_endpoint_is_asked_counts_apart(tmp_path: Path) -> None:
    files = {
        rate_file(tmp_path, "url", "model"),
        rate_file(tmp_path, "url", "other"),
        rate_file(tmp_path, "u", "model"),
    }
    assert len(files) == 3
    assert rate_file(None, "url", "model") is None


def test_a_time_that_a_wrong_clock_left_does_not_hold_anything(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = 1e12
    Rate(60, None, tmp_path / "rate", clock=clock).take(1)
    clock.now = 1000.0
    assert Rate(60, None, tmp_path / "rate", clock=clock).take(1) == 0
