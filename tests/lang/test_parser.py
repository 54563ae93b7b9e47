"""Expressions are compared with what Python's own parser makes of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreammake.core.diagnostic import DreamError
from dreammake.core.span import Source
from dreammake.lang.parser import parse_expression
from dreammake.lang.syntax import Block, Expr, FormatText, Name, Sequence, Text
from tests.lang.reading import expression, file

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.dream"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_parse(path: Path) -> None:
    parsed = file(path.read_text(encoding="utf-8"))
    assert len(parsed.blocks) > 5
    for block in parsed.blocks:
        check_spans(block)


def check_spans(block: Block) -> None:
    assert block.span.text.startswith(block.keyword) and block.span.text.endswith(":")
    assert block.keyword_span.text == block.keyword
    assert (block.name_span.text if block.name_span else None) == block.name
    for inner in block.blocks:
        check_spans(inner)


def test_one_shape() -> None:
    parsed = file('"""All."""\nrule a:\n    """One."""\n    load: "x", 2\n        split: "t"\n    eval: 1\n')
    (rule,) = parsed.blocks
    assert parsed.docstring is not None and parsed.docstring.value == "All."
    assert rule.docstring is not None and rule.docstring.value == "One."
    load, evaluation = rule.blocks
    assert (load.keyword, load.name, len(load.values), load.blocks[0].keyword) == ("load", None, 2, "split")
    assert evaluation.keyword == "eval"


@pytest.mark.parametrize("word", ["eval", "train", "from", "if", "for", "in", "lambda", "None", "class", "not", "rule"])
def test_any_word_is_a_key(word: str) -> None:
    (block,) = file(f"rule {word}:\n    {word}: 1\n    {word} {word}: 2\n").blocks
    assert block.name == word
    assert [(inner.keyword, inner.name) for inner in block.blocks] == [(word, None), (word, word)]
    assert expression(f"f({word}=1).{word}")


def test_values_on_lines_of_their_own() -> None:
    (rule,) = file('rule a:\n    input:\n        "x",  # first\n        "y"\n    output:\n        """z"""\n').blocks
    assert [[v.value for v in b.values] for b in rule.blocks] == [["x", "y"], ["z"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a comment", "\ufeffrule a:\n", "rule a:", "rule a:\r\n    b: 1\r\n\r"]
)
def test_files_at_the_edge(text: str) -> None:
    assert len(file(text).blocks) == text.count("rule")


def test_line_ends_and_layout_do_not_matter() -> None:
    plain = "rule a:\n    b: [\n1,\n  2]\n    # no\n\n    c: (3 +\n4)\n"
    spread = plain.replace("\n", "\r\n").replace("    ", "  ")
    assert bare(file(plain).blocks) == bare(file(spread).blocks)


def bare(node: object) -> object:
    """A tree without its places."""
    if isinstance(node, tuple):
        return tuple(bare(item) for item in node)
    if isinstance(node, Text):
        return node.value
    if hasattr(node, "__match_args__"):
        slots = [slot for slot in node.__match_args__ if not slot.endswith("span")]
        return (type(node).__name__, *(bare(getattr(node, slot)) for slot in slots))
    return node


PYTHON = """
a + b * c - d / e // f % g ** h
-a ** -b
not a and b or c and not d
a < b <= c != d in e not in f is None is not True
a if b else c if d else e
(a, b, (c,), ())
[a, [b], {}, {1: 2, "x": [y]},]
a.b.c[d](e, f=g, **h)[1:2][:][::2][:-1][i:j:k]
[x + y for x, y in z if x if y for q in r]
{k: v for k, v in d.items()}
any(x for x in y)
a | b ^ c & d << e >> f
~a + +b - -c
0x1f + 0b11 + 0o17 + 1_000 + 1e3 + .5 + 5. + 1.5e-3
""".strip().splitlines()


@pytest.mark.parametrize("text", PYTHON)
def test_precedence_is_pythons(text: str) -> None:
    ours = expression(text)
    assert to_python(ours) == pythons(text)


class ListsForGenerators(ast.NodeTransformer):
    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.ListComp:
        self.generic_visit(node)
        return ast.ListComp(node.elt, node.generators)


def pythons(text: str) -> str:
    """What Python reads, written as Python writes it."""
    return ast.unparse(ListsForGenerators().visit(ast.parse(text, mode="eval")))


def to_python(expr: Expr) -> str:
    """Our tree written with brackets around everything, and read again by Python."""
    return ast.unparse(ast.parse(bracketed(expr), mode="eval"))


def bracketed(node: object) -> str:
    from dreammake.lang import syntax as s

    w = bracketed
    match node:
        case s.Constant(_, v) | s.Text(_, v):
            return repr(v)
        case s.Name(_, name):
            return name
        case s.Attribute(_, v, name):
            return f"({w(v)}).{name}"
        case s.Index(_, v, i):
            return f"({w(v)})[{w(i)}]"
        case s.Slice(_, a, b, c):
            return ":".join("" if part is None else w(part) for part in (a, b, c))
        case s.Sequence(_, "list", items):
            return f"[{', '.join(map(w, items))}]"
        case s.Sequence(_, _, items):
            return "(" + "".join(w(item) + "," for item in items) + ")"
        case s.Dict(_, items):
            return "{" + ", ".join(f"{w(k)}: {w(v)}" for k, v in items) + "}"
        case s.Unary(_, sign, v):
            return f"({sign} {w(v)})"
        case s.Binary(_, sign, a, b):
            return f"({w(a)} {sign} {w(b)})"
        case s.Compare(_, a, signs, rest):
            return "(" + w(a) + "".join(f" {sign} {w(b)}" for sign, b in zip(signs, rest, strict=True)) + ")"
        case s.Logic(_, sign, values):
            return "(" + f" {sign} ".join(map(w, values)) + ")"
        case s.Conditional(_, test, then, other):
            return f"({w(then)} if {w(test)} else {w(other)})"
        case s.Comprehension(_, kind, key, v, clauses):
            head = f"{w(key)}: {w(v)}" if key is not None else w(v)
            loops = "".join(
                f" for {', '.join(c.targets)} in {w(c.items)}" + "".join(f" if {w(t)}" for t in c.tests)
                for c in clauses
            )
            return ("{%s}" if kind == "dict" else "[%s]") % (head + loops)
        case s.Call(_, function, args, kwargs):
            named = [f"**{w(v)}" if name == "**" else f"{name}={w(v)}" for name, v in kwargs]
            return f"({w(function)})({', '.join([*map(w, args), *named])})"
    raise AssertionError(node)


SIGNS = ["+", "-", "*", "/", "//", "%", "**", "|", "&", "^", "<<", ">>"]
SIGNS += ["<", "<=", "==", "!=", "in", "and", "or", "not in"]
SHAPES = ["{} {sign} {}", "not {}", "-{}", "~{}", "({})", "{} if {} else {}", "[{}, {}]", "f({}, k={})"]
SHAPES += ["[{} for a in b if {}]", "any({} for a in c)", "{}.x", "{}[{}]", "{}[{}:{}]", "{{{}: {}}}"]


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> str:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(["a", "b", "c", "None", "True", "'t'", "0", "17", "1.5"]))
    shape = draw(st.sampled_from(SHAPES))
    holes = shape.replace("{{", "").replace("}}", "").count("{}")
    inner = [draw(expressions(depth - 1)) for _ in range(holes)]
    return shape.format(*inner, sign=draw(st.sampled_from(SIGNS)))


def parses(text: str) -> bool:
    """Random text is not always right: Python, too, refuses `-not a`."""
    try:
        return expression(text) is not None
    except DreamError:
        return False


RIGHT = expressions().filter(parses)


@settings(max_examples=300, deadline=None)
@given(expressions())
def test_any_expression_is_read_as_python_reads_it(text: str) -> None:
    try:
        theirs = pythons(text)
    except SyntaxError:
        with pytest.raises(DreamError):
            parse_expression(text, Source("Dreamfile", text))
        return
    assert to_python(expression(text)) == theirs


def test_spans_of_an_expression_inside_a_file() -> None:
    source = Source("Dreamfile", "xxxxx(a + b).c")
    expr = parse_expression("(a + b).c", source, 5)
    assert expr.span.text == "(a + b).c"
    assert expr.value.span.text == "(a + b)" and expr.name_span.text == "c"  # type: ignore[attr-defined]


def test_holes_of_f_strings_have_places() -> None:
    source = 'rule a:\n    b: f"""\n      x {one}\n        {two!r:>{width}} {{no}}\n      """\n'
    (text,) = file(source).blocks[0].blocks[0].values
    assert isinstance(text, FormatText)
    holes = [part for part in text.parts if not isinstance(part, Text)]
    assert [hole.value.span.text for hole in holes] == ["one", "two"]
    assert [part.value for part in text.parts if isinstance(part, Text)] == ["x ", "\n  ", " {no}"]
    assert holes[1].conversion == "r" and holes[1].format is not None
    assert [hole.span.line for hole in holes] == [3, 4]
    inner = holes[1].format.parts[1]
    assert isinstance(inner.value, Name) and inner.value.span.text == "width"  # type: ignore[union-attr]


def test_a_generator_is_a_list() -> None:
    assert isinstance(expression("(1, 2)"), Sequence)
    assert bare(expression("any(x for x in y)")) == bare(expression("any([x for x in y])"))


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda data: data.decode("latin-1"))))
def test_any_text_is_a_file_or_a_clean_error(text: str) -> None:
    read_or_explain(text)


WORDS = [
    "rule a:",
    "\n",
    "    ",
    "  ",
    '"',
    "'",
    '"""',
    "f'",
    "{",
    "}",
    "[",
    ")",
    "(",
    "x",
    ":",
    "=",
    ",",
    "1",
    "#",
    "\\",
]
WORDS += [
    "\t",
    "\r\n",
    " if ",
    " else ",
    "for",
    " in ",
    ".",
    "+",
    "not ",
    "lambda",
    "\0",
    "é",
    "“",
    "1e999",
    "0x",
    "**",
]


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25).map("".join))
def test_any_mixture_of_tokens_is_a_file_or_a_clean_error(text: str) -> None:
    read_or_explain(text)


def read_or_explain(text: str) -> None:
    try:
        file(text)
    except DreamError as error:
        for found in error.diagnostics:
            assert found.span is not None
            assert 0 <= found.span.start <= found.span.end <= len(text)
            assert found.span.start < max(1, len(text))
            assert found.message and not found.message.endswith(".")
