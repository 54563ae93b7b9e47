"""Counts, sizes, durations and dollars in words. An amount that is only estimated has `~` before it."""

from __future__ import annotations

import math


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 prompt`, `1,000 prompts`, `2 batches`, `3 retries`."""
    return f"{number:,} {noun if number == 1 else plural or _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def short(number: float) -> str:
    """Three digits or fewer and a letter: `950`, `1.2k`, `310k`, `4.5M`, `2B`."""
    for letter, unit in (("", 1.0), ("k", 1e3), ("M", 1e6), ("B", 1e9)):
        if abs(number) < 999.5 * unit or letter == "B":
            scaled = number / unit
            figure = f"{scaled:.1f}" if letter and abs(scaled) < 9.95 else f"{scaled:,.0f}"
            return figure.removesuffix(".0") + letter
    raise AssertionError("the largest unit takes all")


def tokens(number: int, *, about: bool = False) -> str:
    """`512 tokens`, `310k tokens`, `~310k tokens`."""
    return f"{'~' if about else ''}{short(number)} {'token' if number == 1 else 'tokens'}"


def dollars(amount: float, *, about: bool = False, exact: bool = False) -> str:
    """`$0.42`, `~$0.42`, `$1,234`, `<$0.01`; with `exact` as many decimals as it takes: `$5.00`, `$0.0004`."""
    if exact:
        cents, _, rest = f"{amount:,.6f}".partition(".")
        return f"${cents}.{rest[:2]}{rest[2:].rstrip('0')}"
    if 0 < amount < 0.005:
        return "<$0.01"
    return f"{'~' if about else ''}${amount:,.{0 if amount >= 999.995 else 2}f}"


def duration(seconds: float, *, about: bool = False) -> str:
    """`40 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`; with `about` one figure: `~4 s`, `~3 min`, `~2 h`."""
    if not math.isfinite(seconds):
        return "unknown"
    if about:
        return "~" + _one_figure(seconds)
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return _two_figures(whole, 60, "min", 1, "s")
    if whole < 86400:
        return _two_figures(whole, 3600, "h", 60, "min")
    return _two_figures(whole, 86400, "d", 3600, "h")


def _two_figures(seconds: int, large: int, unit: str, small: int, rest: str) -> str:
    more = seconds % large // small
    return f"{seconds // large:,} {unit}" + (f" {more} {rest}" if more else "")


def _one_figure(seconds: float) -> str:
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 3570:
        return f"{round(seconds / 60)} min"
    if seconds < 84600:
        return f"{round(seconds / 3600)} h"
    return f"{round(seconds / 86400):,} d"


def size(number: int) -> str:
    """Bytes by thousands: `512 B`, `1.3 MB`, `98 MB`, `2.5 GB`."""
    scaled, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if scaled < 999.5:
            break
        scaled, unit = scaled / 1000, larger
    figure = f"{scaled:.1f}" if unit != "B" and scaled < 9.95 else f"{scaled:,.0f}"
    return f"{figure.removesuffix('.0')} {unit}"


def rate(per_second: float, unit: str) -> str:
    """`38 rows/s`, `1.2k rows/s`, `0.4 rows/s`; slower than one in ten seconds: `3 rows/min`."""
    if per_second < 0.095:
        return f"{per_second * 60:.1f}".removesuffix(".0") + f" {unit}/min"
    if per_second < 9.95:
        return f"{per_second:.1f}".removesuffix(".0") + f" {unit}/s"
    return f"{short(per_second)} {unit}/s"
