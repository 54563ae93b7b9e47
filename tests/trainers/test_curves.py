"""The picture of a training's log."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dreammake.trainers._curves import Panel, draw, panels_of, ticks_of

LOG = [
    {"step": 10, "epoch": 0.5, "loss": 2.0, "learning_rate": 2e-5, "grad_norm": 3.0, "mean_token_accuracy": 0.5},
    {"step": 20, "epoch": 1.0, "loss": 1.0, "learning_rate": 1e-5, "grad_norm": 2.0, "mean_token_accuracy": 0.7},
    {"step": 20, "epoch": 1.0, "eval_loss": 1.5, "eval_mean_token_accuracy": 0.6},
]


def test_the_loss_comes_first_and_the_learning_rate_last() -> None:
    assert [panel.name for panel in panels_of(LOG)] == ["loss", "mean_token_accuracy", "learning_rate"]
    assert panels_of(LOG)[0] == Panel("loss", [(10, 2.0), (20, 1.0)], [(20, 1.5)])


def test_it_is_an_svg_with_a_line_for_each_measure() -> None:
    picture = draw(LOG)
    assert picture is not None
    root = ElementTree.fromstring(picture)
    lines = [element.get("class") for element in root.iter("{http://www.w3.org/2000/svg}path")]
    assert lines == ["train", "eval", "train", "eval", "train"]
    assert "prefers-color-scheme: dark" in picture
    assert picture == draw(LOG)


def test_a_loss_that_falls_goes_down_in_the_picture() -> None:
    picture = draw(LOG)
    assert picture is not None
    moves = re.findall(r'd="M([\d.]+) ([\d.]+) L([\d.]+) ([\d.]+)"', picture)[0]
    x1, y1, x2, y2 = map(float, moves)
    assert x1 < x2
    assert y1 < y2, "pixels are counted from the top"


@pytest.mark.parametrize("log", [[], LOG[:1], [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 1.0}]])
def test_a_log_that_is_too_short_for_a_line(log: list[dict[str, float]]) -> None:
    assert draw(log) is None


def test_names_are_text() -> None:
    picture = draw([{"step": step, "rewards/<a & b>": float(step)} for step in (1, 2)])
    assert picture is not None
    assert "rewards/&lt;a &amp; b&gt;" in picture


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12))
@example(0.0, 5e-324)
@example(5e-324, 5e-324)
def test_ticks_are_few_and_hold_all_values(one: float, other: float) -> None:
    low, high = sorted((one, other))
    ticks = ticks_of(low, high)
    room = (ticks[-1] - ticks[0]) * 1e-6
    assert 2 <= len(ticks) <= 7
    assert ticks[0] <= low + room
    assert ticks[-1] >= high - room
    assert all(before < after for before, after in pairwise(ticks))


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=5000))
def test_a_long_log_makes_no_long_picture_and_keeps_its_extremes(values: list[float]) -> None:
    picture = draw([{"step": step, "loss": value} for step, value in enumerate(values)])
    assert picture is not None
    points = re.findall(r"[ML]([\d.]+) ([\d.]+)", picture)
    assert len(points) <= 610
    assert len(points) >= min(len(values), 300)
