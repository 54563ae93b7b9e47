"""The page of all errors: `python -m dreammake.report.error_index docs/errors.md` writes it."""

from __future__ import annotations

import sys
from pathlib import Path

from dreammake.core.codes import codes, page


def error_index() -> str:
    """Every code with its page, in Markdown."""
    parts = [
        "# Errors",
        "Every error of dreammake has a code. `dreammake explain CODE` shows what stands here.",
    ]
    for code in codes():
        title, _, text = (page(code) or "").partition("\n")
        parts += [f"## {code}", f"**{title.lstrip('# ').strip()}**", text.strip()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(error_index(), encoding="utf-8")
