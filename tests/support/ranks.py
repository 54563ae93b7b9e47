"""Training methods that go wrong in one of their processes."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.trainer import Training
from dreammake.trainers._processes import ranks
from dreammake.trainers._torch_trainer import TorchTrainer


class Failing(TorchTrainer):
    """The second process fails, and the first one waits for it."""

    def train(self, options: Any, training: Training) -> None:
        if not ranks.is_first():
            raise ValueError("the second one has had enough")
        training.say("the first one waits")
        ranks.wait_for_all()


class Refusing(TorchTrainer):
    """Each process finds the same mistake of the user's."""

    def train(self, options: Any, training: Training) -> None:
        fail("refused-options", "this cannot be", hint="do that", exit_code=1)


class Killed(TorchTrainer):
    """The second process is killed from outside, and the first one waits for it."""

    def train(self, options: Any, training: Training) -> None:
        if not ranks.is_first():
            os.kill(os.getpid(), signal.SIGKILL)
        ranks.wait_for_all()


class Endless(TorchTrainer):
    """It tells that it has begun, and goes on for ever."""

    def train(self, options: Any, training: Training) -> None:
        ranks.wait_for_all()
        training.progress(os.getpid())
        while True:
            time.sleep(1)
