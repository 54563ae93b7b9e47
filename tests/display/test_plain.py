from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap

from dreammake.core.events import BuildFinished, BuildStarted, JobFinished, JobProgress, JobStarted
from dreammake.display.plain import PlainDisplay
from tests.display.build import EVENTS, Clock


def test_a_build_line_by_line() -> None:
    out = io.StringIO()
    display = PlainDisplay(out, clock=Clock())
    for event in EVENTS:
        display.event(event)
        display.tick()
    display.close()
    assert "\n" + out.getvalue() == textwrap.dedent("""
        3 to build, 1 may follow, 41 up to date
        start  data/tweets  prompt of step 1 (tweet) changed
        start  models/tweeter  rule tweeter
        done   data/tweets  1,000 rows, 12 prompts asked, 988 cached, $0.42 in 4.2 s
        known  data/tweets  2 more jobs to do
        retry  models/tweeter  the training ran out of memory
        start  models/tweeter  attempt 2: rule tweeter
        failed models/tweeter
        error[out-of-memory]: the training ran out of memory
         --> Dreamfile:2:5
          |
        2 |     train sft:
          |     ^^^^^^^^^
          |
        help: use a smaller batch
        log: .dreammake/jobs/tweeter.log
        done   data/split  same content as before in 10 ms
        same   data/after  what it reads was rebuilt to the same content
        2 built, 1 failed, 2 not run, 42 up to date in 12.3 s
        """)


def test_nothing_to_do_is_one_line() -> None:
    out = io.StringIO()
    display = PlainDisplay(out)
    display.event(BuildStarted(0, 0, 41))
    display.event(BuildFinished(0, 0, 0, 41, 0.05))
    display.close()
    assert out.getvalue() == "all is up to date (41 targets)\n"


def test_an_interrupted_build_says_so() -> None:
    out = io.StringIO()
    display = PlainDisplay(out)
    display.event(BuildFinished(0, 0, 3, 1, 1.0, interrupted=True))
    display.close()
    assert out.getvalue() == "interrupted: 0 built, 3 not run, 1 up to date in 1.0 s\n"


def test_progress_is_a_line_now_and_then() -> None:
    out, clock = io.StringIO(), Clock()
    display = PlainDisplay(out, clock=clock)
    display.event(JobStarted("a", "r"))
    for done in range(100):
        clock.now += 1
        display.event(JobProgress("a", done, 100, prompts_asked=done))
    display.close()
    lines = out.getvalue().splitlines()
    assert lines[1:] == [
        "at     a  29 of 100 rows, 29 prompts asked, ~1 min left",
        "at     a  59 of 100 rows, 59 prompts asked, ~41 s left",
        "at     a  89 of 100 rows, 89 prompts asked, ~11 s left",
    ]


def test_a_note_is_told_at_once() -> None:
    out = io.StringIO()
    display = PlainDisplay(out)
    display.event(JobProgress("models/tweeter", 0, note="going on from step 400"))
    display.close()
    assert out.getvalue() == "note   models/tweeter  going on from step 400\n"


def test_a_training_tells_its_loss_its_speed_and_the_time_left() -> None:
    out, clock = io.StringIO(), Clock()
    display = PlainDisplay(out, clock=clock)
    display.event(JobStarted("models/tweeter", "r"))
    clock.now += 1
    display.event(JobProgress("models/tweeter", 10, 60, "steps"))  # it goes on from a checkpoint
    clock.now += 30
    told = {"epoch": 0.5, "loss": 1.934, "tokens_per_second": 1234.5}
    display.event(JobProgress("models/tweeter", 15, 60, "steps", measures=told))
    display.close()
    last = out.getvalue().splitlines()[-1]
    assert last == "at     models/tweeter  15 of 60 steps, loss 1.93, 1.2k tokens/s, ~5 min left"


def test_a_line_end_in_a_name_makes_no_line() -> None:
    out = io.StringIO()
    display = PlainDisplay(out)
    display.event(JobFinished("data/a\nfailed b\x1b[2J", 1.0, True))
    display.close()
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()


def test_letters_that_the_stream_lacks() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    display = PlainDisplay(stream)
    display.event(JobFinished("data/日本", 1.0, True))
    display.close()
    assert raw.getvalue() == b"done   data/??  in 1.0 s\n"


def test_a_closed_pipe_is_quiet() -> None:
    code = textwrap.dedent("""
        import sys
        from dreammake.core.events import JobFinished
        from dreammake.display.plain import PlainDisplay
        display = PlainDisplay(sys.stdout)
        for number in range(20_000):
            display.event(JobFinished(f"data/{number}", 1.0, True))
        sys.exit(7)
    """)
    read, write = os.pipe()
    with subprocess.Popen([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        os.read(read, 100)
        os.close(read)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 7
