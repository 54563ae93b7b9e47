"""The HTML report: one file that needs nothing else, with every target, what it is made of, and what it holds."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from dreammake.core.secrets import SECRETS
from dreammake.core.values import NOTHING, in_words
from dreammake.plan.chain import Chain, Link, StepTold
from dreammake.plan.plan import Verdict

_LONGEST = 400
"""Characters of a value in a sample row."""
_STATES = {"fresh": "up to date", "build": "to build", "follow": "may follow"}

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #636c76; --line: #d8dee4; --paper: #ffffff; --back: #f6f8fa;
  --warm: #b35c00; --good: #1a7f37; --code: #f0f2f5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #8b949e; --line: #30363d; --paper: #161b22;
  --back: #0d1117; --warm: #e8973f; --good: #3fb950; --code: #1f252c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 12px; }
p.soft, .soft { color: var(--soft); }
code, pre, td.n, .path { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 13px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 8px; }
.cards div { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 10px 16px; }
.cards b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; }
.cards span { color: var(--soft); font-size: 13px; }
.picture { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 12px;
  overflow: auto; }
.picture svg { display: block; max-width: none; }
details { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; margin: 8px 0; }
summary { cursor: pointer; padding: 10px 16px; display: flex; gap: 14px; align-items: baseline; flex-wrap: wrap; }
summary::before { content: "▸"; color: var(--soft); } details[open] > summary::before { content: "▾"; }
summary .path { font-weight: 600; font-size: 14px; } summary .figures { margin-left: auto; color: var(--soft);
  font-size: 13px; font-variant-numeric: tabular-nums; }
.state { font-size: 12px; border-radius: 999px; padding: 1px 9px; border: 1px solid currentColor; white-space: nowrap; }
.fresh { color: var(--good); } .build, .follow { color: var(--warm); }
.inside { padding: 2px 16px 16px; border-top: 1px solid var(--line); }
h3 { font-size: 13px; margin: 16px 0 6px; color: var(--soft); font-weight: 600; }
pre { background: var(--code); border-radius: 8px; padding: 10px 12px; margin: 6px 0; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.table { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 13px; }
table.pairs { width: auto; }
th, td { text-align: left; vertical-align: top; padding: 5px 10px; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; } td { overflow-wrap: anywhere; min-width: 60px; }
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one target holds: some rows of a dataset, or the facts and the curves (SVG) of a model."""

    columns: Sequence[str] = ()
    rows: Sequence[Mapping[str, Any]] = ()
    count: int | None = None
    failed: int = 0
    facts: Mapping[str, Any] = field(default=NOTHING)
    curves: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a page tells. `samples` are by path; `picture` is SVG; `made` is a time in seconds."""

    name: str
    doc: str
    chain: Chain
    verdicts: Mapping[str, Verdict]
    samples: Mapping[str, Sample]
    picture: str
    made: float
    version: str


def draw_page(report: Report) -> str:
    """The page. Nothing in it is loaded from elsewhere, no value runs as code, and no secret stands in it."""
    doc = f"<p>{_text(report.doc)}</p>" if report.doc else ""
    parts = [
        f"<h1>{_text(report.name)}</h1>",
        f'<p class="soft">{_moment(report.made)} · dreammake {_text(report.version)}</p>',
        doc,
        _cards(report),
        f'<h2>The chain</h2><div class="picture">{report.picture}</div>',
        "<h2>Targets</h2>",
        *(_target(link, report) for link in report.chain.links),
        _parts(report),
    ]
    title = f"<title>{_text(report.name)}</title>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{title}'
    page = ["<!doctype html>", f'<html lang="en"><head>{head}<style>{_STYLE}</style></head>', "<body><main>", *parts]
    return "\n".join([*page, "</main></body></html>", ""])


def _cards(report: Report) -> str:
    states = [verdict.action for verdict in report.verdicts.values()]
    chain = report.chain
    figures = [
        ("targets", f"{len(states):,}"),
        ("up to date", f"{states.count('fresh'):,}"),
        ("prompts asked", f"{chain.total('prompts_asked'):,.0f}"),
        ("tokens", f"{chain.total('prompt_tokens') + chain.total('completion_tokens'):,.0f}"),
        ("cost", _dollars(chain.total("cost"))),
        ("time of jobs", _seconds(sum(link.record.seconds for link in chain.links if link.record))),
    ]
    cells = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for name, value in figures)
    return f'<div class="cards">{cells}</div>'


def _target(link: Link, report: Report) -> str:
    action = report.verdicts[link.job.id].action
    rule = f'<span class="soft">rule {_text(link.job.rule.name)}</span>'
    state = f'<span class="state {action}">{_STATES[action]}</span>'
    figures = f'<span class="figures">{_figures(link)}</span>'
    inside = [_reasons(report.verdicts[link.job.id]), *map(_step, link.steps)]
    inside += [_sample(put.path, report.samples[put.path]) for put in link.job.outputs if put.path in report.samples]
    inside.append(_identity(link))
    summary = f'<summary><span class="path">{_text(link.title)}</span>{rule}{state}{figures}</summary>'
    return f'<details>{summary}<div class="inside">{"".join(inside)}</div></details>'


def _figures(link: Link) -> str:
    if link.record is None:
        return "not built yet"
    facts = link.record.facts
    told = [f"{facts['rows']:,} rows"] if facts.get("rows") is not None else []
    if facts.get("prompts_asked") or facts.get("prompts_cached"):
        told.append(f"{facts.get('prompts_asked', 0):,} asked, {facts.get('prompts_cached', 0):,} cached")
    if facts.get("cost"):
        told.append(_dollars(facts["cost"]))
    return " · ".join([*told, _seconds(link.record.seconds), _moment(link.record.built_at)])


def _reasons(verdict: Verdict) -> str:
    told = dict.fromkeys(reason.where or reason.kind for reason in verdict.reasons)
    return f"<h3>stale because of</h3><p>{_text(', '.join(told))}</p>" if told else ""


def _step(step: StepTold) -> str:
    lines = [f"<h3>{_text(step.label)}</h3>"]
    lines += [f"<pre>{_text(text.strip())}</pre>" for text in step.texts.values()]
    settings = {**step.settings, **{f"model {asked.model}": asked.sampling for asked in step.asked}}
    if settings:
        lines.append(_pairs(settings))
    return "".join(lines)


def _sample(path: str, sample: Sample) -> str:
    if sample.facts:
        return f"<h3>{_text(path)}</h3>{_pairs(sample.facts)}{sample.curves}"
    if not sample.columns:
        return ""
    of = f" of {sample.count:,}" if sample.count is not None else ""
    failed = f", {sample.failed:,} rows failed" if sample.failed else ""
    head = "".join(f"<th>{_text(column)}</th>" for column in sample.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_value(row.get(column))}</td>" for column in sample.columns) + "</tr>"
        for row in sample.rows
    )
    title = f"<h3>{_text(path)}: {len(sample.rows):,} rows{of}{failed}</h3>"
    return f'{title}<div class="table"><table><tr>{head}</tr>{rows}</table></div>'


def _identity(link: Link) -> str:
    found = {f"fingerprint of {path}": value for path, value in link.fingerprints.items()}
    return f"<h3>reproducibility</h3>{_pairs(found)}"


def _parts(report: Report) -> str:
    if not report.chain.parts:
        return ""
    rows = "".join(
        f"<tr><td>{part.kind}</td><td><code>{_text(part.name)}</code></td><td>{_text(part.where)}</td>"
        f"<td>{_text(part.revision or '')}</td></tr>"
        for part in report.chain.parts
    )
    head = "<tr><th>kind</th><th>name</th><th>from</th><th>revision</th></tr>"
    return f'<h2>What comes from outside</h2><div class="table"><table>{head}{rows}</table></div>'


def _pairs(values: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{_text(name)}</th><td>{_value(value)}</td></tr>" for name, value in values.items())
    return f'<div class="table"><table class="pairs">{rows}</table></div>'


def _value(value: Any) -> str:
    if value is None:
        return '<span class="soft">null</span>'
    if isinstance(value, float):
        value = f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=in_words)
    return _text(text if len(text) <= _LONGEST else text[:_LONGEST] + " …")


def _text(text: str) -> str:
    return escape(SECRETS.hide(text))


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 0.005 or not amount else "&lt;$0.01"


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 60 else f"{minutes / 60:.1f} h"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
