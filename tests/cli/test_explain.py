from __future__ import annotations

import argparse

import pytest

from dreammake.cli import explain
from dreammake.core.codes import codes
from dreammake.core.diagnostic import DreamError


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    parser = argparse.ArgumentParser()
    explain.add_arguments(parser)
    assert explain.run(parser.parse_args(words)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("written", ["unknown-column", "error[unknown-column]:", "Unknown-Column"])
def test_a_page(capsys: pytest.CaptureFixture[str], written: str) -> None:
    out = explained(capsys, written)
    assert out.startswith("A step reads a column that does not exist\n\nA template")
    assert out.endswith("\n") and not out.endswith("\n\n")


def test_all_codes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = explained(capsys).splitlines()
    assert [line.split()[0] for line in lines] == codes()


def test_a_misspelt_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DreamError) as raised:
        explained(capsys, "unknown-colum")
    [diagnostic] = raised.value.diagnostics
    assert (diagnostic.code, diagnostic.hint) == ("unknown-code", "did you mean `unknown-column`?")


def test_a_far_off_code_names_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DreamError) as raised:
        explained(capsys, "xyz")
    assert raised.value.diagnostics[0].hint == "see them all: `dreammake explain`"
