"""A plan for a person: roots apart from what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dreammake.display.amounts import count, dollars, duration, tokens
from dreammake.display.cells import cut, one_line, pad
from dreammake.display.reasons import details, headline
from dreammake.display.style import Style
from dreammake.plan.estimate import Prompts, together
from dreammake.plan.plan import Plan, Verdict

ALIKE = 12
"""How many targets of one rule with one plain reason are listed; the others are counted."""
FOLLOWERS = 6


def draw_plan(plan: Plan, prompts: Mapping[str, Prompts], *, style: Style, width: int) -> str:
    """The dry run of the command line."""
    roots, follow = plan.of("build"), plan.of("follow")
    fresh = len(plan.verdicts) - len(roots) - len(follow)
    unknown = [*plan.graph.pending, *(job.unknown for job in plan.graph.jobs if job.unknown is not None)]
    if not roots and not follow and not unknown:
        return f"all is up to date ({count(fresh, 'target')})"
    room = min(max((len(verdict.job.id) for verdict in roots[:200]), default=0), 40)
    lines: list[str] = []
    shown: dict[tuple[str, str], int] = {}
    for verdict in roots:
        alike = (verdict.job.rule.name, ",".join(reason.kind for reason in verdict.reasons if reason.root))
        shown[alike] = shown.get(alike, 0) + 1
        if shown[alike] <= ALIKE:
            lines += _root(verdict, prompts.get(verdict.job.id), room, style, width)
    for (rule, kinds), number in shown.items():
        if number > ALIKE:
            reason = kinds.replace(",", ", ").replace("-", " ")
            lines.append(
                f"  {style.paint('build', 'bold')}  … and {number - ALIKE:,} more of the rule {rule}: {reason}"
            )
    lines += _followers(follow, prompts, style)
    for one in {(one.target, one.column): one for one in unknown}.values():
        lines.append(
            f"  {style.paint('then', 'cyan')}   what depends on the column {one.column} of {one.target}: not known yet"
        )
    if fresh:
        lines.append(style.paint(f"         {fresh:,} up to date", "dim"))
    return "\n".join([*lines, "", summary(plan, prompts)])


def summary(plan: Plan, prompts: Mapping[str, Prompts]) -> str:
    """`2 to build, 2 follow, 41 up to date: 1,000 prompts, about 310k tokens, $0.42`."""
    numbers = [
        (len(plan.of("build")), "to build"),
        (len(plan.of("follow")), "follow"),
        (len(plan.of("fresh")), "up to date"),
    ]
    text = ", ".join(f"{number:,} {word}" for number, word in numbers if number or word == "to build")
    if not prompts:
        return text
    whole = together(prompts.values())
    unknown = any(one.total is None for one in prompts.values())
    if unknown and not whole.to_run:
        return f"{text}: how many prompts is not known yet"
    most = "" if whole.exact else "at least " if unknown else "at most "
    parts = [most + f"{count(whole.to_run, 'prompt')} to run"]
    if whole.to_run:
        parts.append(f"about {tokens(whole.tokens)}")
    if whole.cost:
        parts.append(dollars(whole.cost))
    return f"{text}: {', '.join(parts)}"


def _root(verdict: Verdict, prompts: Prompts | None, room: int, style: Style, width: int) -> list[str]:
    roots = [reason for reason in verdict.reasons if reason.root]
    line = roots[0].line or verdict.job.rule.span.line
    path = roots[0].path if roots[0].line else verdict.job.rule.span.path
    place = f"{path}:{line}"
    what = cut(one_line(headline(roots[0])), max(20, width - room - 13 - len(place)))
    head = f"  {style.paint('build', 'bold')}  {pad(verdict.job.id, room)}  "
    gap = max(2, width - len(f"  build  {pad(verdict.job.id, room)}  ") - len(what) - len(place))
    lines = [head + what + " " * min(gap, 60) + style.paint(place, "dim")]
    indent = " " * (room + 11)
    for reason in roots:
        if reason is not roots[0]:
            lines.append(indent + one_line(headline(reason)))
        for sign, text in details(reason)[:20]:
            lines.append(indent + style.paint(f"{sign} {one_line(text)}", "red" if sign == "-" else "green"))
    if prompts is not None:
        lines.append(indent + prompts_line(prompts))
    return lines


def prompts_line(prompts: Prompts) -> str:
    """`1,000 prompts: 0 cached, 1,000 to run   ~310k tokens   ~$0.42   ~3 min`."""
    if prompts.total is None:
        return "prompts: their number is not known yet"
    most = "" if prompts.exact else "at most "
    parts = [f"{most}{count(prompts.total, 'prompt')}: {prompts.cached:,} cached, {prompts.to_run:,} to run"]
    if prompts.to_run:
        parts.append(tokens(prompts.tokens, about=True))
        if prompts.cost:
            parts.append(dollars(prompts.cost, about=True))
        if prompts.seconds is not None:
            parts.append(duration(prompts.seconds, about=True))
    return "   ".join(parts)


def _followers(follow: Sequence[Verdict], prompts: Mapping[str, Prompts], style: Style) -> list[str]:
    if not follow:
        return []
    names = ", ".join(verdict.job.id for verdict in follow[:FOLLOWERS])
    more = ", …" if len(follow) > FOLLOWERS else ""
    verb = "follows" if len(follow) == 1 else "follow"
    lines = [f"  {style.paint('then', 'cyan')}   {len(follow):,} more {verb}: {names}{more}"]
    for verdict in follow:
        if verdict.job.id in prompts:
            lines.append(f"           {verdict.job.id}: {prompts_line(prompts[verdict.job.id])}")
    return lines
