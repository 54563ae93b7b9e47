"""What is said of a base that cannot be opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreammake.core.diagnostic import Diagnostic, DreamError
from dreammake.trainers import _base_model


def failure(base: str | Path, shown: str, said: str) -> Diagnostic:
    with pytest.raises(DreamError) as caught, _base_model.opening(base, shown):
        raise OSError(said)
    return caught.value.diagnostics[0]


def test_a_folder_is_called_what_the_dreamfile_calls_it(tmp_path: Path) -> None:
    found = failure(tmp_path, "models/small", f"There is no config.json in {tmp_path}.\nMore of it.")
    assert found.message == "the base model models/small cannot be opened: There is no config.json in models/small"
    assert "a name on the Hugging Face Hub" in found.hint


def test_a_misspelt_folder_gets_the_nearest_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models/small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert failure("models/smal", "models/smal", "nothing there").hint == "did you mean `models/small`?"
    assert "did you mean" not in failure("me/smal", "me/smal", "nothing there").hint
