"""The colours of a Dreamfile: words that open a block, names, and Python's values."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups, default, include
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

__all__ = ["DreamfileLexer"]

WORD = r"[A-Za-z_]\w*"


class DreamfileLexer(RegexLexer):
    """Every line begins a block (`KEYWORD [NAME]:`) or goes on with a value."""

    name = "Dreamfile"
    aliases: ClassVar[list[str]] = ["dreamfile"]
    tokens: ClassVar[dict[str, list[object]]] = {
        "root": [
            (r"\s+", Text),
            (rf"(rule|model)(\s+)({WORD})(:)", bygroups(Keyword, Text, Name.Class, Punctuation), "value"),
            (r"(config|defaults|include)(:)", bygroups(Keyword, Punctuation), "value"),
            (rf"({WORD})([ \t]+)({WORD})(:)", bygroups(Name.Function, Text, Name.Variable, Punctuation), "value"),
            (rf"({WORD})(:)", bygroups(Name.Attribute, Punctuation), "value"),
            default("value"),
        ],
        "value": [
            (r"\n", Text, "#pop"),
            (r"[\[({]", Punctuation, "brackets"),
            include("one"),
        ],
        "brackets": [
            (r"[\])}]", Punctuation, "#pop"),
            (r"\n", Text),
            (r"[\[({]", Punctuation, "#push"),
            include("one"),
        ],
        "one": [
            (r'[rf]?"""', String, "long"),
            (r"[ \t]+", Text),
            (r"#.*", Comment),
            (r'[rf]?"(\\.|[^"\\\n])*"', String),
            (r"\b(if|else|for|in|and|or|not)\b", Keyword),
            (r"\b(True|False|None)\b", Keyword.Constant),
            (r"\d+(\.\d+)?", Number),
            (rf"{WORD}(?=\()", Name.Function),
            (WORD, Name),
            (r"[-+*/%<>=!|]+", Operator),
            (r".", Punctuation),
        ],
        "long": [
            (r"\{\{.*?\}\}|\{%.*?%\}", String.Interpol),
            (r'"""', String, "#pop"),
            (r"[^{\"]+|.", String),
        ],
    }
