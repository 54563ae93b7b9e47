"""What is hidden, and what stands in its place."""

from __future__ import annotations

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from dreammake.core.diagnostic import Diagnostic, Note
from dreammake.core.secrets import SHORTEST, HidingStream, Secrets

KEY = "sk-1234567890abcdef"


def hiding(value: str = KEY, name: str = "NAME") -> Secrets:
    secrets = Secrets()
    secrets.add(value, f"env({name})", name)
    return secrets


def test_a_value_is_hidden_by_its_name() -> None:
    secrets = hiding()
    assert secrets.hide(f"Bearer {KEY}, {KEY}") == "Bearer env(NAME), env(NAME)"
    assert secrets.hide_in({"a": [KEY, 3, None], KEY: (KEY,)}) == {
        "a": ["env(NAME)", 3, None],
        "env(NAME)": ["env(NAME)"],
    }
    told = secrets.hide_from(Diagnostic("x", f"no {KEY}", hint=KEY, notes=(Note(KEY),)))
    assert KEY not in repr(told)


@given(st.text(st.characters(codec="utf-8"), min_size=SHORTEST), st.text(), st.text())
def test_no_form_of_a_value_passes(value: str, before: str, after: str) -> None:
    secrets = Secrets()
    secrets.add(value, "▮")
    for form in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        assert secrets.hide(before.replace("▮", "") + form + after.replace("▮", "")).count("▮") >= 1


def test_the_longer_of_two_values_is_hidden_first() -> None:
    secrets = hiding("abcdefgh", "SHORT")
    secrets.add("abcdefgh-ijkl", "env(LONG)")
    assert secrets.hide("abcdefgh-ijkl abcdefgh") == "env(LONG) env(SHORT)"


def test_short_values_are_texts_unless_their_name_says_more() -> None:
    assert hiding("10", "N").hide("10 rows") == "10 rows"
    assert hiding("hunter2", "USER").hide("hunter2") == "hunter2"
    assert hiding("hunter2", "DB_PASSWORD").hide("hunter2") == "env(DB_PASSWORD)"


def test_names_tell_secrets_of_the_environment() -> None:
    secrets = Secrets()
    secrets.add_environment(
        {"HF_TOKEN": "hf_abcdefgh", "HOME": "/home/somebody", "TOKENIZERS_PARALLELISM": "falsefalse"}
    )
    assert secrets.hide("hf_abcdefgh /home/somebody falsefalse") == "env(HF_TOKEN) /home/somebody falsefalse"


def test_what_stands_in_the_open_is_no_secret() -> None:
    secrets = hiding("experiment-one", "RUN")
    secrets.add("token-abcdefgh", "env(MY_TOKEN)", "MY_TOKEN")
    secrets.reveal("data/experiment-one/token-abcdefgh")
    assert secrets.hide("experiment-one token-abcdefgh") == "experiment-one env(MY_TOKEN)"


def test_a_seal_changes_with_the_value_and_shows_nothing_of_it() -> None:
    one, two = hiding(KEY), hiding(KEY + "x")
    assert one.seal_in(KEY) == hiding(KEY).seal_in(KEY)
    assert one.seal_in(KEY) != two.seal_in(KEY + "x")
    assert one.seal_in([f"a {KEY}"])[0].startswith("a env(NAME)#")


def test_a_stream_hides_what_is_written_to_it() -> None:
    under = io.StringIO()
    print("the key", KEY, file=HidingStream(under, hiding()))  # type: ignore[arg-type]
    assert under.getvalue() == "the key env(NAME)\n"


def test_credentials_of_an_address_are_hidden_wherever_they_stand() -> None:
    secrets = hiding("https://me:correct%20horse@host/v1?api-key=battery-staple", "SERVICE")
    assert secrets.hide("the key battery-staple or correct horse is wrong") == (
        "the key env(SERVICE) or env(SERVICE) is wrong"
    )
    assert [value for _, value in secrets.sure()] == [b"battery-staple", b"correct horse", b"correct%20horse"]
    assert secrets.hide("http://you:pw@host/?a=1&token=abc") == "http://…@host/?a=1&token=…"
    assert secrets.hide_values("http://you:pw@host/?a=1&token=abc") == "http://you:pw@host/?a=1&token=abc"


def test_a_password_that_everybody_knows_is_hidden_only_in_its_address() -> None:
    secrets = Secrets()
    secrets.add_credentials("postgresql://postgres:postgres@host/db and http://me:short@host", "key(load)")
    assert secrets.hide("postgres, short, http://me:short@host") == "postgres, short, http://…@host"


def test_a_seal_changes_with_the_credentials_of_an_address() -> None:
    one, two = (Secrets().seal_in(f"http://me:{password}@host") for password in ("one", "two"))
    assert one != two
    assert one.startswith("http://…#") and one.endswith("@host")
