"""Looks up every answer of a project's prompt caches, as a rebuild does: `look_ups.py PROJECT`"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from dreammake.store.prompt_cache import PromptCache

_AT_ONCE = 256


def main(project: Path) -> None:
    for file in sorted((project / ".dreammake" / "prompts").glob("*.sqlite")):
        with closing(sqlite3.connect(file)) as connection:
            keys = [key for (key,) in connection.execute("select key from answers order by rowid")]
        cache = PromptCache(file, readonly=True)
        found = sum(len(cache.lookup(keys[at : at + _AT_ONCE])) for at in range(0, len(keys), _AT_ONCE))
        cache.close()
        print(f"{found} found of {len(keys)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
