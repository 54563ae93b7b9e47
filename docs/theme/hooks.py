"""What the site adds to MkDocs: the colours of Dreamfiles, and the reference pages in the navigation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pygments.lexers import LEXERS

HERE = Path(__file__).parent
GROUPS = {"steps": "Steps", "models": "Engines", "trainers": "Trainers", "executors": "Executors"}


def on_config(config: Any) -> Any:
    """Pygments learns a language, and the navigation gets a page for each name of the catalog."""
    sys.path.insert(0, str(HERE))
    LEXERS["DreamfileLexer"] = ("dreamfile_lexer", "Dreamfile", ("dreamfile",), ("Dreamfile",), ())
    reference = Path(config["docs_dir"]) / "reference"
    pages = next(entry["Reference"] for entry in config["nav"] if "Reference" in entry)
    for folder, title in GROUPS.items():
        found = sorted((reference / folder).glob("*.md"))
        pages.append({title: [{page.stem: f"reference/{folder}/{page.name}"} for page in found]})
    return config
