"""The licence of a whole, by those of its parts; and the tables of what is known."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dreammake.hub
from dreammake.core.diagnostic import DreamError
from dreammake.hub.licensing import Derived, derive
from dreammake.hub.part_facts import Known, PartFacts
from dreammake.plan.chain import Part

KNOWN = Path(dreammake.hub.__file__).parent / "known"
NOWHERE = Path("/nonexistent")
LICENSES = sorted(Known(NOWHERE).licenses)


def whole(*licenses: str | None) -> Derived:
    known = Known(NOWHERE)
    return derive(
        PartFacts(Part("dataset", f"part-{number}", "hub"), known.license(name) if name else None)
        for number, name in enumerate(licenses)
    )


@pytest.mark.parametrize(
    ("parts", "metadata"),
    [
        ([], {}),
        (["mit"], {"license": "mit"}),
        (["mit", "apache-2.0", "cc0-1.0"], {"license": "apache-2.0"}),
        (["mit", "cc-by-4.0", "cc-by-sa-4.0"], {"license": "cc-by-sa-4.0"}),
        (["cc-by-sa-3.0", "cc-by-sa-4.0"], {"license": "cc-by-sa-4.0"}),
        (["mit", "cc-by-nc-4.0"], {"license": "cc-by-nc-4.0"}),
        (["mit", "gemma"], {"license": "gemma"}),
        (["mit", None], {"license": "unknown"}),
        (
            ["apache-2.0", "openai-terms"],
            {"license": "other", "license_name": "openai-terms", "license_link": "https://openai.com/policies"},
        ),
        (["odd-licence"], {"license": "odd-licence"}),
    ],
)
def test_the_license_of_the_whole(parts: list[str | None], metadata: dict[str, str]) -> None:
    derived = whole(*parts)
    assert derived.metadata() == metadata
    assert derived.conflicts == ()


def test_two_licenses_that_both_go_along() -> None:
    derived = whole("llama3.1", "gemma")
    assert derived.conflicts == ()
    assert derived.metadata()["license_name"] == "gemma-and-llama3.1"
    assert len(derived.restrictions) == 2


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["cc-by-sa-4.0", "cc-by-nc-4.0"], "which allows commerce; that is forbidden by cc-by-nc-4.0 (part-1)"),
        (["cc-by-sa-4.0", "cdla-sharing-1.0"], "wants the whole under itself, and so does"),
        (["llama3", "cc-by-sa-4.0"], "no more conditions; there are some in llama3 (part-0)"),
        (["mit", "cc-by-sa-3.0", "openai-terms"], "cc-by-sa-3.0 (part-1) wants the whole under itself, and no more"),
        (["cc-by-nd-4.0"], "cc-by-nd-4.0 (part-0) allows no derivatives"),
    ],
)
def test_licenses_that_contradict_each_other(parts: list[str], said: str) -> None:
    derived = whole(*parts)
    assert said in " ".join(derived.conflicts)
    assert derived.metadata()["license_name"].startswith("conflicting-")


@given(st.lists(st.sampled_from([*LICENSES, None]), max_size=5), st.randoms())
def test_the_order_of_parts_means_nothing(parts: list[str | None], random: object) -> None:
    derived = whole(*parts)
    again = whole(*reversed(parts))
    assert derived.metadata() == again.metadata()
    assert len(derived.conflicts) == len(again.conflicts)


@pytest.mark.parametrize(
    ("part", "license"),
    [
        (Part("model", "openai/gpt-4o-mini", "api"), "openai-terms"),
        (Part("model", "gpt-4", "api"), "openai-terms"),
        (Part("model", "openai/gpt-oss-20b", "vllm"), "apache-2.0"),
        (Part("model", "together_ai/meta-llama/Llama-3.1-8B-Instruct", "api"), "llama3.1"),
        (Part("model", "openai/Qwen/Qwen2.5-3B-Instruct", "api", served="http://127.0.0.1/v1"), "qwen-research"),
        (Part("model", "openai/gpt-4o", "api", served="http://127.0.0.1/v1"), None),
        (Part("model", "smollm2", "llamacpp"), "apache-2.0"),
        (Part("model", "qwen/qwen2.5-7b-instruct", "transformers"), "apache-2.0"),
        (Part("model", "openai/gpt-4o", "scripted"), None),
        (Part("model", "somebody/model", "transformers"), None),
        (Part("dataset", "rajpurkar/squad", "hub"), "cc-by-sa-4.0"),
        (Part("dataset", "data/rows.csv", "project"), None),
    ],
)
def test_what_is_known_of_a_part(part: Part, license: str | None) -> None:
    found = Known(NOWHERE).facts(part).license
    assert (found.id if found else None) == license


def test_a_project_knows_its_own_parts(tmp_path: Path) -> None:
    (tmp_path / "licenses.toml").write_text(
        '[datasets."data/*"]\nlicense = "ours"\ncite = "@misc{a, title={A}}"\n[licenses.ours]\nname = "Our own"\n'
        '[models."openai/*"]\nlicense = "mit"\n'
    )
    known = Known(tmp_path)
    facts = known.facts(Part("dataset", "data/rows.csv", "project"))
    assert facts.license is not None
    assert (facts.license.name, facts.citations) == ("Our own", ("@misc{a, title={A}}",))
    openai = known.facts(Part("model", "openai/gpt-4o", "api")).license
    assert openai is not None
    assert openai.id == "mit"


@pytest.mark.parametrize(
    ("text", "code"),
    [("[models", "bad-config-file"), ("[model.x]", "unknown-key"), ('models = "x"', "bad-config-file")],
)
def test_a_table_that_cannot_be_read(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "licenses.toml").write_text(text)
    with pytest.raises(DreamError, match=code):
        Known(tmp_path)


def test_a_readme_on_this_machine_tells_what_no_table_does() -> None:
    known = Known(NOWHERE, lambda part: "---\nlicense: cc-by-4.0\nlanguage: de\n---\n# Rows\n")
    facts = known.facts(Part("dataset", "data/rows", "project"))
    assert facts.license is not None
    assert (facts.license.id, facts.languages) == ("cc-by-4.0", ("de",))


@pytest.mark.parametrize("table", ["models", "datasets"])
def test_the_tables_agree_with_each_other(table: str) -> None:
    licenses = tomllib.loads((KNOWN / "licenses.toml").read_text())
    citations = set(re.findall(r"@misc\{(\w+),", (KNOWN / "citations.bib").read_text()))
    for name, entry in tomllib.loads((KNOWN / f"{table}.toml").read_text()).items():
        assert entry["license"] in licenses, name
        assert set(entry.get("cite", ())) <= citations, name
        assert set(entry) <= {"license", "url", "card", "cite", "language"}, name


def test_every_citation_is_used() -> None:
    citations = re.findall(r"@misc\{(\w+),", (KNOWN / "citations.bib").read_text())
    tables = (KNOWN / "models.toml").read_text() + (KNOWN / "datasets.toml").read_text()
    assert len(citations) == len(set(citations))
    assert [key for key in citations if f'"{key}"' not in tables] == []
