"""A build, as the events that a display is told."""

from __future__ import annotations

from dreammake.core.diagnostic import Diagnostic
from dreammake.core.events import (
    BuildFinished,
    BuildStarted,
    Event,
    GraphGrew,
    JobFailed,
    JobFinished,
    JobFresh,
    JobProgress,
    JobStarted,
)
from dreammake.core.span import Source, Span

SOURCE = Source("Dreamfile", "rule tweeter:\n    train sft:\n")
FAILURE = Diagnostic(
    "out-of-memory", "the training ran out of memory", Span(SOURCE, 18, 27), hint="use a smaller batch"
)

EVENTS: list[Event] = [
    BuildStarted(3, 1, 41),
    JobStarted("data/tweets", "tweets", ("prompt of step 1 (tweet) changed",)),
    JobStarted("models/tweeter", "tweeter"),
    JobProgress("data/tweets", 40, 1000, prompts_cached=30, prompts_asked=10),
    JobProgress("models/tweeter", 3, 60, "steps", measures={"loss": 1.934}),
    JobFinished("data/tweets", 4.2, True, {"rows": 1000, "prompts_asked": 12, "prompts_cached": 988, "cost": 0.42}),
    GraphGrew("data/tweets", 2),
    JobFailed("models/tweeter", (FAILURE,), ".dreammake/jobs/tweeter.log", will_retry=True),
    JobStarted("models/tweeter", "tweeter", attempt=2),
    JobFailed("models/tweeter", (FAILURE,), ".dreammake/jobs/tweeter.log"),
    JobFinished("data/split", 0.01, False),
    JobFresh("data/after"),
    BuildFinished(2, 1, 2, 42, 12.34),
]


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
