from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from dreammake.core.diagnostic import fail
from dreammake.core.options import Bool, ColumnNames, Dict, Int, OptionSet, Wrong, describe
from dreammake.core.rows import Rows
from dreammake.core.spelling import did_you_mean
from dreammake.core.step import Columns, Look, Spooled, Step, Work
from dreammake.steps._chance import permutation
from dreammake.steps._order import in_order, on_disk


class Split(Step):
    """Cuts the rows into named parts, one for each output of that name: `train: 0.9`, `eval: 0.1`.

    A part is a fraction of the rows (0.1) or a number of them (100). Parts share no row. Fractions are rounded so
    that together they are as many rows as they should be, and may leave some rows to no part. The rows are shuffled
    first, by the seed. With `stratify`, each value of that column is divided in the same proportions.
    """

    last = True
    block = "parts"
    paper = "splits"
    example = """
rule all:
    input: "data/train", "data/eval"

rule numbers:
    output: "data/numbers"
    rows: [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]

rule parts:
    input: "data/numbers"
    output:
        train: "data/train"
        eval: "data/eval"
    split:
        train: 0.75
        eval: 0.25
"""

    class Options(OptionSet):
        parts = Dict("The size of each part by the name of its output: a fraction, or a number of rows.")
        seed = Int("Seed of the shuffle.", default=0)
        shuffle = Bool("Whether the rows are shuffled first; else the parts are cut in order.", default=True)
        stratify = ColumnNames("The column whose values every part should have in proportion.", default=None)

    @classmethod
    def columns(cls, options: Any, name: str | None, have: Columns | None, look: Look) -> Columns | None:
        if not options.parts:
            raise Wrong("`split` names no part", "add parts: `train: 0.9` and `eval: 0.1`", "missing-option")
        for part, size in options.parts.items():
            if isinstance(size, bool) or not isinstance(size, int | float):
                raise Wrong(f"`{part}` takes a fraction or a number of rows, not {describe(size)}")
            if size < 0 or (isinstance(size, float) and not size <= 1):
                raise Wrong(f"`{part}` is a fraction up to 1 or a number of rows, not {size:g}", code="out-of-range")
        whole = sum(_fraction(size) for size in options.parts.values() if isinstance(size, float))
        if whole > 1:
            raise Wrong(
                f"the parts are {float(whole):g} of the whole", "let the fractions add up to 1 at most", "out-of-range"
            )
        return have

    @classmethod
    def outputs(cls, options: Any) -> list[str] | None:
        return list(options.parts)

    def run(self, options: Any, name: str | None, rows: Rows, work: Work) -> Mapping[str, Rows]:
        outputs = [put.name for put in work.outputs if put.name]
        for part in options.parts:
            if outputs and part not in outputs:
                fail("no-such-output", f"the rule has no output `{part}`", hint=did_you_mean(part, outputs))
        spooled = on_disk(rows, work)
        sizes = part_sizes(spooled.count, list(options.parts.values()))
        order: Sequence[int] = range(spooled.count)
        if options.shuffle:
            order = permutation(spooled.count, options.seed)
        groups = _cut(order, sizes)
        if options.stratify:
            groups = _stratified(_keys(spooled, options.stratify), order, sizes)
        return {part: in_order(spooled, group) for part, group in zip(options.parts, groups, strict=True)}


def part_sizes(total: int, parts: Sequence[int | float]) -> list[int]:
    """How many rows each part gets: counts as they are, fractions by the largest remainder (of equal ones, the
    smallest part's first, so that a small part is not empty). Raises DreamError `too-few-rows`."""
    shares = [_fraction(part) * total if isinstance(part, float) else Fraction(part) for part in parts]
    sizes = [int(share) for share in shares]
    missing = round(sum(shares)) - sum(sizes)
    by_remainder = sorted(range(len(parts)), key=lambda i: (sizes[i] - shares[i], shares[i], i))
    for number in by_remainder[:missing]:
        sizes[number] += 1
    if sum(sizes) > total:
        fail("too-few-rows", f"the parts are {sum(sizes):,} rows, and there are {total:,}", exit_code=1)
    return sizes


def _fraction(size: float) -> Fraction:
    """The fraction as it is written: 0.1 is a tenth."""
    return Fraction(repr(size))


def _cut(order: Sequence[int], sizes: Iterable[int]) -> list[Sequence[int]]:
    groups, at = [], 0
    for size in sizes:
        groups.append(order[at : at + size])
        at += size
    return groups


def _keys(spooled: Spooled, columns: Sequence[str]) -> list[Any]:
    return [repr(row) for batch in spooled.batches() for row in batch.select(list(columns)).to_pylist()]


def _stratified(keys: Sequence[Any], order: Sequence[int], sizes: Sequence[int]) -> list[Sequence[int]]:
    """Deals the rows, those of one value after the other, each to the part that lags most behind its share; so
    every part is within a row or so of its share of every value, and has exactly its size. Rows keep `order`."""
    total = len(order)
    shares = [*sizes, total - sum(sizes)]
    place = {key: number for number, key in enumerate(dict.fromkeys(keys[row] for row in order))}
    dealt = [0] * len(shares)
    part_of = [0] * total
    for done, at in enumerate(sorted(range(total), key=lambda at: place[keys[order[at]]]), 1):
        behind = [
            done * share - given * total if given < share else -total
            for share, given in zip(shares, dealt, strict=True)
        ]
        part = behind.index(max(behind))
        dealt[part] += 1
        part_of[at] = part
    return [[row for row, part in zip(order, part_of, strict=True) if part == number] for number in range(len(sizes))]
