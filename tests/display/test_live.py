from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.events import BuildFinished, BuildStarted, JobFailed, JobFinished, JobProgress, JobStarted
from dreammake.display.live import LiveDisplay
from tests.display.build import EVENTS, Clock
from tests.display.terminal import Terminal


@pytest.fixture(scope="module", autouse=True)
def capable_terminal() -> Iterator[None]:
    """What the tests' own terminal is, and where its size does not come from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm-256color")
        patch.setenv("COLUMNS", "33")
        patch.setenv("LINES", "3")
        patch.delenv("TTY_INTERACTIVE", raising=False)
        yield


def open_display(columns: int = 100, rows: int = 24) -> tuple[LiveDisplay, Terminal, Clock]:
    terminal, clock = Terminal(columns, rows), Clock()
    return LiveDisplay(terminal, clock=clock, size=terminal.size), terminal, clock  # type: ignore[arg-type]


def test_running_jobs_stand_below_finished_ones() -> None:
    display, terminal, clock = open_display()
    display.event(BuildStarted(3, 0, 5))
    display.event(JobStarted("data/tweets", "tweets"))
    display.event(JobStarted("models/tweeter", "tweeter"))
    display.event(JobProgress("data/tweets", 100, 1000, prompts_cached=90, prompts_asked=10))
    clock.now += 10
    display.event(JobProgress("data/tweets", 500, 1000, prompts_cached=90, prompts_asked=410))
    display.event(JobProgress("models/tweeter", 15, 60, "steps", measures={"loss": 1.934}))
    clock.now += 1
    display.event(JobFinished("data/split", 0.5, True, {"rows": 900}))
    assert terminal.seen == [
        "3 to build, 5 up to date",
        "✓ data/split  900 rows  0.5 s",
        "  data/tweets     ━━━━━━━━━━╺━━━━━━━━━  500/1,000 rows  36 rows/s  410 asked, 90 cached  ~14 s left",
        "  models/tweeter  ━━━━━╺━━━━━━━━━━━━━━  15/60 steps                loss 1.93",
        "1 of 3 done, 2 running, 11.0 s",
    ]
    assert not terminal.cursor_shown


def test_a_note_stands_above_the_running_jobs() -> None:
    display, terminal, clock = open_display()
    display.event(BuildStarted(1, 0, 0))
    display.event(JobStarted("models/tweeter", "tweeter"))
    display.event(JobProgress("models/tweeter", 0, note="going on from step 40"))
    clock.now += 10
    told = {"loss": 1.934, "tokens_per_second": 1234.5}
    display.event(JobProgress("models/tweeter", 45, 60, "steps", measures=told))
    assert terminal.seen == [
        "1 to build",
        "note models/tweeter  going on from step 40",
        "  models/tweeter  ━━━━━━━━━━━━━━━╺━━━━  45/60 steps  loss 1.93  1.2k tokens/s",
        "0 of 1 done, 1 running, 10.0 s",
    ]


def test_what_does_not_fit_is_left_out() -> None:
    display, terminal, clock = open_display(columns=45)
    display.event(BuildStarted(1, 0, 0))
    display.event(JobStarted("data/" + "long/" * 20, "tweets"))
    display.event(JobProgress("data/" + "long/" * 20, 0, 1000, prompts_asked=1))
    clock.now += 10
    display.event(JobProgress("data/" + "long/" * 20, 500, 1000, prompts_asked=500))
    assert terminal.seen[1:] == ["  data/long/lon…  500/1,000 rows  ~10 s left", "0 of 1 done, 1 running, 10.0 s"]


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        (98, "  data/tweets  ━━━━━━━━━━╺━━━━━━━━━  500/1,000 rows  40 rows/s  410 asked, 90 cached  ~12 s left"),
        (85, "  data/tweets  ━━━━╺━━━  500/1,000 rows  40 rows/s  410 asked, 90 cached  ~12 s left"),
        (84, "  data/tweets  500/1,000 rows  40 rows/s  410 asked, 90 cached  ~12 s left"),
        (74, "  data/tweets  ━━━━╺━━━  500/1,000 rows  410 asked, 90 cached  ~12 s left"),
        (63, "  data/tweets  ━━━━━━━━━╸━━━━━━━━━  500/1,000 rows  ~12 s left"),
        (40, "  data/tweets  ━━━━╺━━━  500/1,000 rows"),
        (20, "  data/tweets"),
        (10, "  data/t…"),
    ],
)
def test_as_much_as_fits(columns: int, row: str) -> None:
    display, terminal, clock = open_display(columns)
    display.event(BuildStarted(3, 0, 0))
    display.event(JobStarted("data/tweets", "tweets"))
    display.event(JobProgress("data/tweets", 100, 1000, prompts_cached=90, prompts_asked=10))
    clock.now += 10
    display.event(JobProgress("data/tweets", 500, 1000, prompts_cached=90, prompts_asked=410))
    assert terminal.seen[1] == row


def test_it_redraws_at_most_ten_times_a_second() -> None:
    display, terminal, clock = open_display()
    display.event(BuildStarted(20_000, 0, 0))
    before = terminal.writes
    for number in range(10_000):
        clock.now += 0.0005
        display.event(JobStarted(f"data/{number}", "r"))
        display.event(JobFinished(f"data/{number}", 0.01, True, {"rows": number}))
    assert terminal.writes - before <= 51
    display.close()
    assert terminal.seen[1:] == [
        f"✓ data/{number}  {number:,} row{'s' * (number != 1)}  10 ms" for number in range(10_000)
    ]


def test_a_frame_is_one_write() -> None:
    display, terminal, clock = open_display(80)
    display.event(BuildStarted(9, 0, 0))
    terminal.resize(30, 24)
    clock.now += 1
    before = terminal.writes
    for number in range(3):
        display.event(JobFinished(f"data/{number}", 0.01, True))
    clock.now += 1
    display.tick()
    assert terminal.writes - before == 2


def test_at_most_what_the_screen_holds() -> None:
    display, terminal, clock = open_display(rows=6)
    display.event(BuildStarted(1000, 0, 0))
    for number in range(1000):
        display.event(JobStarted(f"data/{number}", "r"))
    clock.now += 1
    display.tick()
    assert terminal.seen[-5:] == [
        "  data/0  1.0 s",
        "  data/1  1.0 s",
        "  data/2  1.0 s",
        "  and 997 more running",
        "0 of 1,000 done, 1,000 running, 1.0 s",
    ]


def test_the_end_leaves_only_lines() -> None:
    display, terminal, clock = open_display(columns=120)
    for event in EVENTS:
        clock.now += 0.03
        display.event(event)
    display.close()
    display.close()
    assert terminal.cursor_shown
    assert terminal.seen == [
        "3 to build, 1 may follow, 41 up to date",
        "✓ data/tweets  1,000 rows, 12 prompts asked, 988 cached, $0.42  4.2 s",
        "retry models/tweeter  the training ran out of memory",
        "✗ models/tweeter",
        "error[out-of-memory]: the training ran out of memory",
        " --> Dreamfile:2:5",
        "  |",
        "2 |     train sft:",
        "  |     ^^^^^^^^^",
        "  |",
        "help: use a smaller batch",
        "log: .dreammake/jobs/tweeter.log",
        "✓ data/split  same content as before  10 ms",
        "2 built, 1 failed, 2 not run, 42 up to date in 12.3 s",
    ]


def test_nothing_to_do() -> None:
    display, terminal, _ = open_display()
    display.event(BuildStarted(0, 0, 41))
    display.event(BuildFinished(0, 0, 0, 41, 0.04))
    display.close()
    assert terminal.seen == ["all is up to date (41 targets)"]


def test_an_interrupted_build_puts_the_terminal_back() -> None:
    display, terminal, _ = open_display()
    display.event(BuildStarted(1, 0, 0))
    display.event(JobStarted("a", "r"))
    display.close()
    assert terminal.cursor_shown
    assert terminal.seen == ["1 to build"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(16, 120), st.integers(1, 90)), min_size=1, max_size=12), st.data())
def test_a_resize_leaves_nothing_behind(sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    """Whatever the window does (but for a screen that holds less than the region), each line is there once."""
    display, terminal, clock = open_display(120, 60)
    display.event(BuildStarted(100, 0, 0))
    for number, (columns, rows) in enumerate(sizes):
        display.event(JobStarted(f"data/running{number}", "r"))
        terminal.resize(columns, max(rows, 60))
        clock.now += 1
        if data.draw(st.booleans()):
            display.event(JobFinished(f"data/done{number}", 1.0, True))
        display.tick()
    display.close()
    terminal.resize(200, 30)
    done = [line for line in terminal.seen[1:] if line]
    assert terminal.seen[0] == "100 to build"
    assert all(line.startswith("✓ data/done") for line in done)
    assert len(done) == len(set(done))


@pytest.mark.parametrize("columns", [1, 2, 10, 11, 40])
def test_the_narrowest_terminal(columns: int) -> None:
    display, terminal, clock = open_display(columns, 5)
    display.event(BuildStarted(1, 0, 0))
    display.event(JobStarted("data/日本語", "r"))
    clock.now += 1
    display.event(JobProgress("data/日本語", 1, 2))
    display.event(JobFailed("data/日本語", (), ""))
    display.close()
    assert "✗" in "".join(terminal.seen)


def test_a_stream_without_signs_gets_plain_ones() -> None:
    display, terminal, clock = open_display()
    terminal.encoding = "ascii"  # type: ignore[attr-defined]
    display = LiveDisplay(terminal, clock=clock, size=terminal.size)  # type: ignore[arg-type]
    display.event(BuildStarted(2, 0, 0))
    display.event(JobStarted("b", "r"))
    display.event(JobFinished("a", 1.0, True))
    clock.now += 1
    display.event(JobProgress("b", 1, 2))
    assert terminal.seen[1:3] == ["+ a  1.0 s", "  b  ---------- ---------  1/2 rows"]


def test_a_dumb_terminal_gets_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    display, terminal, clock = open_display(columns=120)
    for event in EVENTS[:7]:
        clock.now += 1
        display.event(event)
    display.close()
    assert terminal.cursor_shown
    assert terminal.seen == [
        "3 to build, 1 may follow, 41 up to date",
        "✓ data/tweets  1,000 rows, 12 prompts asked, 988 cached, $0.42  4.2 s",
    ]


@pytest.mark.parametrize(("colour", "line"), [(True, "\x1b[32m✓\x1b[0m data/a  1.0 s\n"), (False, "✓ data/a  1.0 s\n")])
def test_colour(colour: bool, line: str) -> None:
    terminal, clock, written = Terminal(80, 24), Clock(), []
    terminal.write = written.append  # type: ignore[method-assign]
    display = LiveDisplay(terminal, colour=colour, clock=clock, size=terminal.size)  # type: ignore[arg-type]
    display.event(BuildStarted(1, 0, 0))
    display.event(JobFinished("data/a", 1.0, True))
    display.close()
    assert line in "".join(written)
    assert ("\x1b[1m" in "".join(written)) is colour


def test_a_name_is_not_markup() -> None:
    display, terminal, clock = open_display()
    display.event(BuildStarted(2, 0, 0))
    display.event(JobStarted("data/[red]a[/red]:cat:", "r"))
    clock.now += 1
    display.event(JobFinished("data/[b]\x1b[2Jb", 1.0, True))
    assert terminal.seen[1:3] == ["✓ data/[b]␛[2Jb  1.0 s", "  data/[red]a[/red]:cat:  1.0 s"]


def test_a_fork_inherits_no_thread_and_the_real_streams() -> None:
    threads, streams = threading.enumerate(), (sys.stdout, sys.stderr)
    display, _, clock = open_display()
    display.event(BuildStarted(1, 0, 0))
    display.event(JobStarted("a", "r"))
    clock.now += 1
    display.tick()
    assert threading.enumerate() == threads
    assert (sys.stdout, sys.stderr) == streams
    display.close()


def test_rich_is_imported_for_a_display_only() -> None:
    code = "import sys, dreammake.display.live; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
