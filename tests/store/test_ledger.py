"""One ledger, many workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dreammake.store.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tmp" / "ledger"


def test_what_is_held_and_what_is_spent(path: Path) -> None:
    ledger = Ledger.begin(path, 1.0)
    assert ledger.hold(0.6) == "held"
    assert ledger.hold(0.6) == "wait", "the first may cost less than was held for it"
    ledger.settle(0.6, 0.1)
    assert ledger.hold(0.6) == "held"
    ledger.settle(0.6, 0.6)
    assert ledger.hold(0.6) == "never"
    account = ledger.account()
    assert (account.spent, account.held, account.budget) == (pytest.approx(0.7), 0.0, 1.0)
    assert account.left == pytest.approx(0.3)


def test_a_request_that_can_never_fit_does_not_wait(path: Path) -> None:
    ledger = Ledger.begin(path, 1.0)
    assert ledger.hold(0.1) == "held"
    assert ledger.hold(1.1) == "never"


def test_without_a_budget_all_is_held_and_counted(path: Path) -> None:
    ledger = Ledger.begin(path, None)
    assert ledger.hold(1e9) == "held"
    ledger.settle(0.0, 0.25)
    assert ledger.account().spent == 0.25


def test_many_processes_never_pass_the_budget(path: Path) -> None:
    Ledger.begin(path, 1.0)
    program = f"""
import pathlib
from dreammake.store.ledger import Ledger
ledger = Ledger(pathlib.Path({str(path)!r}))
count = 0
while (verdict := ledger.hold(0.003)) != "never":
    if verdict == "held":
        ledger.settle(0.003, 0.002)
        count += 1
print(count)
"""
    workers = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(3)]
    counts = [int(worker.communicate()[0]) for worker in workers]
    account = Ledger(path).account()
    assert account.spent == pytest.approx(0.002 * sum(counts))
    assert 0.997 < account.spent <= 1.0
    assert account.held == 0


def test_what_a_dead_worker_held_is_spent(path: Path) -> None:
    ledger = Ledger.begin(path, 1.0)
    program = (
        f"import pathlib, os; from dreammake.store.ledger import Ledger; Ledger(pathlib.Path({str(path)!r})).hold(0.7)"
    )
    subprocess.run([sys.executable, "-c", program + "; os.kill(os.getpid(), 9)"], check=False)
    assert ledger.account().held == pytest.approx(0.7)
    assert ledger.hold(0.5) == "never"
    assert ledger.account().spent == pytest.approx(0.7)
    assert ledger.hold(0.2) == "held"
    assert os.path.getsize(path) == 4096
