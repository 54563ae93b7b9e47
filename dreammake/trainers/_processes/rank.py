"""One process of a training: `python -m dreammake.trainers._processes.rank FOLDER SAYS HEARS PARENT`.

`launch` starts it: it writes to the file descriptor SAYS, and reads answers from HEARS.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dreammake.core.diagnostic import DreamError
from dreammake.core.rows import Rows
from dreammake.core.step import RowError
from dreammake.core.values import ModelSpec, from_json
from dreammake.trainers._processes import ranks
from dreammake.trainers._torch_trainer import TorchTrainer

if TYPE_CHECKING:
    import pyarrow as pa

_PR_SET_PDEATHSIG = 1
_PEER_GONE = ("Connection closed by peer", "Connection reset by peer")
"""What gloo says where another rank has ended."""
_PATIENCE_HOURS = 6
"""How long a rank waits for the others: one of them may answer prompts or write a large checkpoint."""


@dataclass(slots=True)
class _RankTraining:
    """`core.trainer.Training` of one rank: only the first one is heard."""

    train: Rows
    eval: Rows | None
    folder: Path
    checkpoints: Path
    base: str | Path
    gpus: int
    nodes: int
    root: Path
    pipe: IO[str]
    answers: IO[str]
    meeting: Path | None = None

    def path(self, path: str) -> Path:
        return self.root / path

    def scores(self, judge: ModelSpec, questions: Sequence[str], scale: Sequence[float] | None) -> list[float | None]:
        """For the first rank alone: the process that started it asks, with its own options of the judge."""
        self._send({"questions": list(questions), "judge": judge.name, "scale": scale})
        answer = self.answers.readline()
        if not answer:
            os._exit(1)  # that process is gone, and nobody is left to be told of it
        return json.loads(answer)["scores"]  # type: ignore[no-any-return]

    def progress(self, done: int, total: int | None = None, **measures: float) -> None:
        self._send({"progress": [done, total, measures]})

    def say(self, line: str) -> None:
        self._send({"say": line})

    def tell(self, line: str) -> None:
        self._send({"tell": line})

    def error(self, error: RowError) -> None:
        self._send({"error": asdict(error)})

    def _send(self, message: Mapping[str, Any]) -> None:
        if ranks.is_first():
            send(self.pipe, message)


def send(pipe: IO[str], message: Mapping[str, Any]) -> None:
    pipe.write(json.dumps(message, default=str) + "\n")
    pipe.flush()


def main(folder: Path, pipe: IO[str], answers: IO[str], parent: int) -> int:
    """Do the order that lies in `folder`. Gives the exit status."""
    _die_with(parent)
    try:
        order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
        module, name = order["method"]
        method: type[TorchTrainer] = getattr(import_module(module), name)
        _meet(folder / "meeting")
        training = _training(order, folder, pipe, answers)
        method().train_here(method.Options(from_json(order["options"])), training)
    except ranks.OtherRankDone:
        pass
    except BaseException as error:
        send(pipe, {"failed": _failure(error)})
        return 1
    return 0


def _die_with(parent: int) -> None:
    """End at once when the process that started this one is gone, however it ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _meet(place: Path) -> None:
    """Join the other ranks, by a file: two trainings can never want the same port."""
    if ranks.count() == 1:
        return
    from datetime import timedelta

    import torch

    on_cpu = not torch.accelerator.is_available()
    if on_cpu and ranks.sharded():
        _pretend_gpus()
    if on_cpu:
        # Accelerate refuses several machines without it, and has no use for it: the ranks have met by then.
        os.environ.setdefault("MASTER_ADDR", "none")
    else:
        torch.accelerator.set_device_index(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group(
        "gloo" if on_cpu else "cuda:nccl,cpu:gloo" if torch.cuda.is_available() else None,
        init_method=place.as_uri(),
        rank=int(os.environ["RANK"]),
        world_size=ranks.count(),
        timeout=timedelta(hours=_PATIENCE_HOURS),
    )


def _pretend_gpus() -> None:
    """Accelerate shards a model on devices that it takes for GPUs only, and says nothing where it does not."""
    from accelerate.state import DistributedType, PartialState

    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.MULTI_GPU)


def _training(order: Mapping[str, Any], folder: Path, pipe: IO[str], answers: IO[str]) -> _RankTraining:
    base = Path(order["base"])
    return _RankTraining(
        train=_rows(order["train"], folder),
        eval=_rows(order["eval"], folder) if order["eval"] else None,
        folder=Path(order["folder"]),
        checkpoints=Path(order["checkpoints"]),
        base=base if base.is_dir() else order["base"],
        gpus=order["gpus"],
        nodes=order["machines"],
        root=Path(order["root"]),
        pipe=pipe,
        answers=answers,
    )


def _rows(put_down: Mapping[str, Any], folder: Path) -> Rows:
    def batches() -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for file in put_down["files"]:
            with pa.OSFile(str(folder / file)) as source:
                yield from pa.ipc.open_stream(source)

    return Rows(put_down["columns"], batches, put_down["count"])


def _failure(error: BaseException) -> dict[str, Any]:
    """How it ended, for the parent: what a DreamError says, or what the log is to hold."""
    text = str(error).strip().splitlines()
    found: dict[str, Any] = {"diagnostics": [], "exit_code": 1, "at": time.time()}
    found["message"] = f"{type(error).__name__}: {text[0] if text else 'no message'}"
    found["traceback"] = "" if isinstance(error, DreamError) else "".join(traceback.format_exception(error))
    found["left_alone"] = type(error).__name__.startswith("Dist") or any(end in str(error) for end in _PEER_GONE)
    if isinstance(error, DreamError):
        found["diagnostics"] = [[one.code, one.message, one.hint] for one in error.diagnostics]
        found["exit_code"] = error.exit_code
    return found


if __name__ == "__main__":
    says, hears = map(int, sys.argv[2:4])
    with os.fdopen(says, "w", encoding="utf-8") as pipe_, os.fdopen(hears, encoding="utf-8") as answers_:
        status = main(Path(sys.argv[1]), pipe_, answers_, int(sys.argv[4]))
    # No orderly end: what torch and its peers tear down at exit may hang, and all is written.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
