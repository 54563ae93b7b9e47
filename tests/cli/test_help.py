from __future__ import annotations

import argparse

import pytest

from dreammake.cli import help as help_command
from dreammake.core.catalog import Catalog
from dreammake.core.diagnostic import DreamError


def helped(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    parser = argparse.ArgumentParser()
    help_command.add_arguments(parser)
    assert help_command.run(parser.parse_args(words)) == 0
    return capsys.readouterr().out


def test_all_names_by_group(capsys: pytest.CaptureFixture[str]) -> None:
    out = helped(capsys)
    assert out.startswith("Steps\n")
    for name in Catalog().names("steps"):
        assert f"\n  {name} " in out


def test_a_page_through_a_pipe_is_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    out = helped(capsys, "train", "sft")
    assert out.startswith("# sft (trainer)\n")
    assert "| `base` |" in out


def test_a_page_on_a_terminal_fits_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("dreammake.cli.help.is_terminal", lambda stream: True)
    out = helped(capsys, "train:")
    assert out.startswith("train (step)\n\n    train METHOD:\n")


def test_a_misspelt_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DreamError) as raised:
        helped(capsys, "trian")
    [diagnostic] = raised.value.diagnostics
    assert (diagnostic.code, diagnostic.hint) == ("unknown-help", "did you mean `train`?")
