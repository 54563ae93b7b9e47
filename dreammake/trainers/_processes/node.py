"""Another machine of a training: `python -m dreammake.trainers._processes.node MEETING NUMBER`.

An executor starts it on each machine of a job but the first, numbered from 1, where the job's worker runs (`launch`),
and ends it with the job. MEETING is the folder of the job's claim, which all of its machines see, as they do the
project.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from dreammake.trainers._processes import crew
from dreammake.trainers._processes.crew import Crew, write_whole

_LOOK_EVERY = 0.2


def main(meeting: Path, number: int) -> int:
    """Run the ranks of this machine, once there is an order. Gives the exit status."""
    place = meeting / "order.json"
    while not place.exists():
        time.sleep(_LOOK_EVERY)
    order = json.loads(place.read_text(encoding="utf-8"))
    ours = Crew(number, order["machines"], order["ranks"], order["strategy"])
    # What the first rank says is heard where it runs, and no other one says anything.
    failures = crew.run(ours, meeting, lambda message, rank: None)
    if failures:
        write_whole(failures, meeting / f"failed-{number}.json")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
