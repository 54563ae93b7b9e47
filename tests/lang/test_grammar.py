from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dreammake.lang import grammar

GRAMMAR = Path(__file__).parents[2] / "grammar" / "dreamfile.lark"
TABLES = Path(grammar.__file__).with_name("tables.json")


def test_the_stored_tables_are_those_of_the_grammar() -> None:
    stored = json.loads(TABLES.read_text(encoding="utf-8"))
    fresh = grammar.compile_grammar(GRAMMAR.read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(fresh)), "run python -m dreammake.lang.grammar"


def test_a_changed_grammar_is_compiled_anew(monkeypatch) -> None:
    changed = GRAMMAR.read_text(encoding="utf-8").replace('"lambda"', "").replace('"or"', '"oder"')
    monkeypatch.setattr(grammar, "_read_grammar", lambda: changed)
    tables = grammar.load_tables.__wrapped__()
    assert "oder" in tables.literals and "or" not in tables.literals


def test_reading_imports_no_lark_and_no_jinja() -> None:
    program = """
import sys
from dreammake.core.span import Source
from dreammake.lang.parser import parse_file
from dreammake.lang.template import parse_template
block = parse_file(Source("Dreamfile", 'rule a:\\n    prompt: "{{ question }}"\\n')).blocks[0]
parse_template(block.blocks[0].values[0])
print([name for name in ("lark", "jinja2") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
