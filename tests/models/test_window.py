"""The window before one endpoint."""

from __future__ import annotations

from dreammake.models._window import LEAST, LONGEST_PAUSE, MANY, Window


def _window(most: int = 64) -> Window:
    return Window(most, chance=lambda: 1.0)


def test_it_halves_once_for_all_that_were_under_way_together() -> None:
    window = _window()
    for _ in range(64):
        window.refused(0, now=0.0, after=None)
    assert window.limit == 32
    window.refused(1, now=0.0, after=None)
    assert window.limit == 16


def test_it_grows_by_one_with_each_windowful_of_answers() -> None:
    window = _window()
    window.refused(0, now=0.0, after=None)
    for _ in range(33):
        window.answered()
    assert window.limit == 33
    for _ in range(3000):
        window.answered()
    assert window.limit == 64


def test_it_has_a_least_that_is_never_above_the_users_own() -> None:
    for most, least in ((64, LEAST), (2, 2), (1, 1)):
        window = _window(most)
        for round_ in range(20):
            window.refused(round_, now=0.0, after=None)
        assert window.limit == least


def test_it_opens_when_the_server_says_once_many_in_a_row_were_refused() -> None:
    window = _window()
    for _ in range(MANY - 1):
        window.refused(0, now=10.0, after=7.0)
    window.answered()
    for _ in range(MANY - 1):
        window.refused(0, now=10.0, after=7.0)
    assert window.opens == 0.0
    window.refused(0, now=11.0, after=7.0)
    assert window.opens == 18.0


def test_pauses_grow_until_an_answer_comes() -> None:
    window = _window()
    pauses = []
    for round_ in range(100):
        window.opens = 0.0
        window.refused(round_, now=0.0, after=None)
        pauses.append(window.opens)
    assert pauses == sorted(pauses) and pauses[0] < 0.1 and pauses[-1] == LONGEST_PAUSE
    window.answered()
    window.opens = 0.0
    window.refused(100, now=0.0, after=None)
    assert window.opens == pauses[0]
