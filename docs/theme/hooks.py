"""What the site adds to MkDocs: the colours of Dreamfiles, and in the navigation the pages that come by themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pygments.lexers import LEXERS

HERE = Path(__file__).parent
GROUPS = {"steps": "Steps", "models": "Engines", "trainers": "Trainers", "executors": "Executors"}


def on_config(config: Any) -> Any:
    """Pygments learns a language; the navigation gets a page for each name of the catalog, and for each decision."""
    sys.path.insert(0, str(HERE))
    LEXERS["DreamfileLexer"] = ("dreamfile_lexer", "Dreamfile", ("dreamfile",), ("Dreamfile",), ())
    docs = Path(config["docs_dir"])
    tabs = {title: pages for entry in config["nav"] if isinstance(entry, dict) for title, pages in entry.items()}
    for folder, title in GROUPS.items():
        found = sorted((docs / "reference" / folder).glob("*.md"))
        tabs["Reference"].append({title: [{page.stem: f"reference/{folder}/{page.name}"} for page in found]})
    decisions = sorted(page.name for page in (docs / "design").glob("*.md") if page.name != "index.md")
    tabs["About"].append({"Design": ["design/index.md", *(f"design/{name}" for name in decisions)]})
    return config
