from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.lang import format as module
from dreammake.lang.format import format_file
from tests.lang.reading import file

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.dream"))

MESSY = '''# top


"""doc"""
config:   # trailing
  n :  3
  # about train
  train:
     lr:0.1


     # deep
  # mid
# before rule
rule  a  :
  """Docs
     more
  """
  input:   "x"
  output: [
      "a",   # one
    "b",
  ]
  prompt x:
   prompt: """
     hello
       there
   """
rule b:
  input:
      "a",
      "b"
# end
'''
NEAT = '''# top

"""doc"""

config:  # trailing
    n: 3
    # about train
    train:
        lr: 0.1

        # deep
    # mid

# before rule
rule a:
    """Docs
       more
    """
    input: "x"
    output: [
        "a",   # one
      "b",
    ]
    prompt x:
        prompt: """
          hello
            there
        """

rule b:
    input:
        "a",
        "b"

# end
'''


def test_the_canonical_layout() -> None:
    assert format_file(file(MESSY)) == NEAT


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_laid_out(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_file(file(text)) == text


LINES = [
    "rule a:",
    "b: 1",
    "c  x :  f(1,",
    "  2)",
    "# comment",
    "",
    'd: """',
    "   text",
    '"""',
    "e:",
    "]",
    "g: [1,",
    "h: 'x' # y",
]
INDENTS = ["", "  ", "    ", "      ", "        "]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(INDENTS), st.sampled_from(LINES)), max_size=10))
def test_meaning_and_comments_stay(lines: list[tuple[str, str]]) -> None:
    text = "rule z:\n    y: 1\n" + "\n".join(indent + line for indent, line in lines)
    try:
        before = file(text)
    except DreamError:
        return
    once = format_file(before)
    after = file(once)
    assert module._meaning(after) == module._meaning(before)
    assert once.count("#") == text.count("#")
    assert format_file(after) == once
