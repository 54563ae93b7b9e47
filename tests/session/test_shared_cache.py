"""A shared cache: what one project built or was answered, another takes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from dreammake.store.archive import write_archive
from tests.support.project import Project
from tests.support.server import LoopbackServer

WORKFLOW = """
model teacher: "openai/big"
    base_url: "URL"
    api_key: "none"
    temperature: 1.0

rule all:
    input: "data/answers", "data/both/one", "data/size.txt"

rule answers:
    output: "data/answers"
    rows: [{"n": 1}, {"n": 2}, {"n": 3}]
    prompt answer:
        model: teacher
        prompt: "Say {{ n }}."

rule both:
    input: "data/answers"
    output:
        one: "data/both/one"
        two: "data/both/two"
    split:
        one: 2
        two: 1

rule size:
    input: "data/answers"
    output: "data/size.txt"
    shell: "echo {input} > {output}"
"""


def contents(project: Project) -> dict[str, str]:
    places = [path for path in sorted(project.root.rglob("*")) if path.is_file() and ".dreammake" not in path.parts]
    return {str(path.relative_to(project.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in places}


def facts(project: Project, *words: str, **environment: str) -> dict[str, Any]:
    """Build, and give the facts of each job that ran."""
    events = project.ok("all", "--json", *words, **environment).events
    return {event["target"]: event["facts"] for event in events if event["event"] == "job-finished"}


class Two:
    """Two projects of one workflow, in two folders, and a cache beside them."""

    def __init__(self, root: Path, workflow: str) -> None:
        self.one = Project(root / "one").write(workflow)
        self.two = Project(root / "elsewhere/two").write(workflow)
        self.cache = root / "cache"

    @property
    def option(self) -> tuple[str, str]:
        return "--cache-url", str(self.cache)


def test_a_target_that_another_project_built_is_taken(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        both = Two(tmp_path, WORKFLOW.replace("URL", server.base_url))
        first = facts(both.one, *both.option)
        assert server.count == 3 and not any(found.get("shared") for found in first.values())
    second = facts(both.two, DREAMMAKE_CACHE_URL=str(both.cache))
    assert second.keys() == first.keys() and all(found["shared"] for found in second.values())
    assert second["data/answers"] == {"rows": 3, "shared": True}
    assert contents(both.two) == contents(both.one)
    assert both.two.plan("all") == dict.fromkeys(first, "fresh")
    assert len(list(both.cache.glob("targets/*/*.tar.zst"))) == 3


def test_answers_are_shared_where_the_target_is_another(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        both = Two(tmp_path, WORKFLOW.replace("URL", server.base_url))
        facts(both.one, *both.option)
        both.two.edit('{"n": 3}]', '{"n": 3}, {"n": 4}]')
        found = facts(both.two, *both.option)
        assert (found["data/answers"]["prompts_cached"], found["data/answers"]["prompts_asked"]) == (3, 1)
        assert [prompt for prompt in server.prompts if "4" in prompt] == ["Say 4."]
        both.one.edit('{"n": 3}]', '{"n": 4}, {"n": 3}]')
        facts(both.one, *both.option)
        assert server.count == 4
    assert len(list((both.cache / "answers").iterdir())) == 2


def test_a_cache_that_is_only_read(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        both = Two(tmp_path, WORKFLOW.replace("URL", server.base_url))
        facts(both.one, *both.option, "--cache-read-only")
        assert not both.cache.exists()
        facts(both.one, "--force", *both.option)
        before = contents(both.one)
        both.two.edit('{"n": 3}]', '{"n": 4}]')
        names = sorted(path.name for path in both.cache.rglob("*"))
        facts(both.two, *both.option, "--cache-read-only")
        assert sorted(path.name for path in both.cache.rglob("*")) == names
    assert contents(both.one) == before


def test_force_builds_and_takes_nothing(tmp_path: Path) -> None:
    both = Two(tmp_path, 'rule all:\n    output: "a"\n    rows: [{"n": 1}]\n')
    assert facts(both.one, *both.option) == {"a": {"rows": 1}}
    assert facts(both.one, *both.option, "--force") == {"a": {"rows": 1}}
    assert facts(both.two, *both.option) == {"a": {"rows": 1, "shared": True}}


@pytest.mark.parametrize("harm", ["cut", "flipped", "another", "empty"])
def test_what_arrives_damaged_is_built_here(tmp_path: Path, harm: str) -> None:
    both = Two(tmp_path, 'rule all:\n    output: "a"\n    rows: [{"n": 1}]\n')
    facts(both.one, *both.option)
    [entry] = both.cache.glob("targets/*/*.tar.zst")
    data = entry.read_bytes()
    if harm == "another":
        # An archive in order that holds another content than it says.
        (tmp_path / "x").write_text("x")
        write_archive(entry, "target", {"contents": ["0" * 32], "facts": {}}, {"0/x": tmp_path / "x"})
    else:
        flipped = data[:200] + bytes([data[200] ^ 1]) + data[201:]
        entry.write_bytes({"cut": data[:-50], "flipped": flipped, "empty": b""}[harm])
    assert facts(both.two, *both.option) == {"a": {"rows": 1}}
    assert contents(both.two) == contents(both.one)


def test_failed_rows_are_not_shared(tmp_path: Path) -> None:
    both = Two(
        tmp_path,
        """
        model teacher: "table"
            engine: "scripted"
            answers: {"1": "one"}
        rule all:
            output: "a"
            rows: [{"n": 1}, {"n": 2}]
            prompt word:
                model: teacher
                prompt: "{{ n }}"
                on_error: "skip"
        """,
    )
    assert facts(both.one, *both.option)["a"]["failed_rows"] == 1
    assert list(both.cache.glob("targets/*/*")) == []


def test_a_cache_that_cannot_be_used_stops_no_build(tmp_path: Path) -> None:
    both = Two(tmp_path, 'rule all:\n    output: "a"\n    rows: [{"n": 1}]\n')
    both.cache.write_text("a file")
    result = both.one.ok("all", *both.option)
    assert "warning: the answers of the shared cache cannot be used" in result.err
    assert (both.one.root / "a/state.json").exists()


def test_a_bucket_is_what_fsspec_opens(tmp_path: Path) -> None:
    both = Two(tmp_path, 'rule all:\n    output: "a"\n    rows: [{"n": 1}]\n')
    url = f"local://{both.cache}"
    facts(both.one, "--cache-url", url)
    assert facts(both.two, "--cache-url", url) == {"a": {"rows": 1, "shared": True}}
    result = both.two.run("all", "--force", "--cache-url", "nothing://x")
    assert (result.code, "error[bad-arguments]" in result.err) == (2, True)


def test_no_key_is_in_a_shared_cache(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        workflow = WORKFLOW.replace("URL", server.base_url).replace('"none"', 'env("MY_KEY")')
        both = Two(tmp_path, workflow)
        both.one.ok("all", *both.option, MY_KEY="sk-very-secret-7")
    import pyarrow as pa

    entries = list(both.cache.rglob("*.zst"))
    assert entries
    for entry in entries:
        assert b"sk-very-secret-7" not in pa.CompressedInputStream(pa.OSFile(str(entry)), "zstd").read()


def test_dropped_answers_are_shared_no_further_and_new_ones_are(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        both = Two(tmp_path, WORKFLOW.replace("URL", server.base_url))
        facts(both.one, *both.option)
        both.one.edit("Say {{", "Tell {{")
        facts(both.one, *both.option)
        both.one.ok("cache", "gc")
        both.one.edit("Tell {{", "Sing {{")
        facts(both.one, *both.option)
        assert server.count == 9
        [cache] = both.one.ok("cache", "stats", "--json").document["caches"]
        assert cache["answers"] == 6
        both.two.edit("Say {{", "Sing {{")
        assert facts(both.two, *both.option)["data/answers"]["shared"]
        both.two.edit("Sing {{", "Tell {{")
        both.two.edit('{"n": 3}]', '{"n": 3}, {"n": 1}]')
        assert facts(both.two, *both.option)["data/answers"]["prompts_asked"] == 1
