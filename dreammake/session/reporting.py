"""The report of a project: the plan, the chain behind each target, and a look into what was built."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from dreammake import __version__
from dreammake.display.model_text import model_facts
from dreammake.plan.chain import whole_chain
from dreammake.plan.plan import Plan
from dreammake.report.graph_svg import draw_svg
from dreammake.report.page import Report, Sample, draw_page
from dreammake.session.session import Session
from dreammake.store.dataset import is_dataset, open_dataset
from dreammake.store.error_table import read_errors, table_of

_TOLD = ("method", "base", "rows", "steps", "epochs", "loss", "eval_loss", "metrics")


def report_of(session: Session, plan: Plan, rows: int) -> str:
    """The HTML page of a plan, with some rows of each dataset."""
    chain = whole_chain(plan)
    samples = {path: sample for path, sample in _samples(session, plan, rows) if sample.columns or sample.facts}
    name = session.place.root.name or "dreammake"
    doc = session.dreamfile.doc
    return draw_page(Report(name, doc, chain, plan.verdicts, samples, draw_svg(plan), time.time(), __version__))


def _samples(session: Session, plan: Plan, rows: int) -> Iterator[tuple[str, Sample]]:
    for path in plan.graph.makers:
        place = session.disk.locate(path)
        if place.is_dir() and is_dataset(place):
            dataset = open_dataset(place)
            table = table_of(session.place.state, path, place)
            failed = sum(1 for _ in read_errors(table)) if table is not None else 0
            yield path, Sample(dataset.columns, dataset.table.slice(0, rows).to_pylist(), dataset.count, failed)
        elif place.is_dir():
            yield path, _model(path, place)


def _model(path: str, place: Path) -> Sample:
    found = model_facts(path, place)
    facts = {name: found["training"][name] for name in _TOLD if name in found["training"]}
    curves = place / "training_curves.svg"
    return Sample(facts=facts or {"kind": found["kind"]}, curves=curves.read_text() if curves.is_file() else "")
