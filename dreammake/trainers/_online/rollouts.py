"""What online methods do otherwise than transformers' Trainer, so that a training goes on exactly after a checkpoint:
the order of the prompts, and the completions that are still to be learned from.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any


class PromptOrder:
    """Numbers of rows, batch by batch, in another order each epoch. A batch that does not fill is left out.

    Each number stands `times` times in a row, and each batch `repeats` times, as its completions are learned from so
    often. transformers calls `set_epoch`, also where a training goes on.
    """

    def __init__(self, rows: int, batch: int, repeats: int, seed: int, *, times: int = 1, shuffle: bool = True) -> None:
        self._rows = rows
        self._batch = batch
        self._repeats = repeats
        self._times = times
        self._seed = seed
        self._shuffle = shuffle
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._rows // self._batch * self._batch * self._repeats * self._times

    def __iter__(self) -> Iterator[int]:
        order = self._order()
        for start in range(0, self._rows - self._batch + 1, self._batch):
            for _ in range(self._repeats):
                for number in order[start : start + self._batch]:
                    yield from [number] * self._times

    def _order(self) -> list[int]:
        if not self._shuffle:
            return list(range(self._rows))
        import torch

        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        return torch.randperm(self._rows, generator=generator).tolist()


class Rollouts:
    """Stands before a Trainer that counts calls of its model (`_step`) and keeps completions (`_buffered_inputs`)."""

    def _save_checkpoint(self: Any, model: Any, trial: Any) -> None:
        import torch

        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        torch.save(
            self._kept(), self._rollout_file(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")
        )

    def _load_optimizer_and_scheduler(self: Any, checkpoint: str | None) -> None:
        import torch

        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
        if checkpoint is not None:
            file = self._rollout_file(Path(checkpoint))
            self._take(torch.load(file, map_location=self.args.device, weights_only=True))

    def _kept(self: Any) -> dict[str, Any]:
        """What a checkpoint keeps: numbers, and tensors in lists and dicts."""
        return {"step": self._step, "completions": self._buffered_inputs}

    def _take(self: Any, kept: dict[str, Any]) -> None:
        self._step, self._buffered_inputs = kept["step"], kept["completions"]

    def _rollout_file(self: Any, folder: Path) -> Path:
        return folder / f"rollout-{self.args.process_index}.pt"


class TrlRollouts(Rollouts):
    """The same for TRL's trainers, whose order of prompts does not know in which epoch it begins."""

    def _get_train_sampler(self: Any, dataset: Any = None) -> PromptOrder:
        return PromptOrder(
            len(self.train_dataset),
            self.args.generation_batch_size // self.num_generations,
            self.num_iterations * self.args.steps_per_generation,
            self.args.seed,
            times=self.num_generations,
            shuffle=self.shuffle_dataset,
        )
