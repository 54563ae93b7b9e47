"""`export` and `import`: what one machine built, another builds again without network, key or model."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dreammake.core.engine import Answer
from dreammake.store.prompt_cache import PromptCache
from tests.support.project import Project
from tests.support.server import LoopbackServer

WORKFLOW = """
config:
    topic: "frogs"

include: "models.dream"

rule all:
    input: "data/short", "notes/sizes.txt"

rule raw:
    output: temp("data/raw")
    load: glob("raw/*.csv")

rule questions:
    input: "data/raw"
    output: "data/questions"
    python: "lib/steps.py:clean"

rule answers:
    input: "data/questions"
    output: "data/answers"
    prompt answer:
        model: teacher
        system: read("system.txt")
        prompt: "Tell me about {{ thing }} and {{ config.topic }}."

rule short:
    input: "data/answers"
    output: "data/short"
    sort: thing

rule sizes:
    input: "data/short"
    output: "notes/sizes.txt"
    shell: "ls {input} > {output}"
"""
FILES = {
    "raw/a.csv": "id,thing\n1,cats\n2,dogs\n",
    "raw/b.csv": "id,thing\n3,newts\n",
    "system.txt": "Be brief.",
    "lib/steps.py": "import words\n\ndef clean(row):\n    return words.clean(row)\n",
    "lib/words.py": "UNUSED = 1\n\ndef clean(row):\n    return {**row, 'thing': row['thing'].strip()}\n",
    "not-used.txt": "nothing of the workflow",
}


def write(root: Path, base_url: str) -> Project:
    project = Project(root)
    for path, text in FILES.items():
        project.file(path, text)
    project.file(
        "models.dream", f'model teacher: "openai/big"\n    base_url: "{base_url}"\n    api_key: env("MY_KEY")\n'
    )
    return project.write(WORKFLOW)


def contents(root: Path) -> dict[str, str]:
    """Every file but the state, with its digest."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_file() and ".dreammake" not in path.parts]
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that was built; nobody answers at its endpoint any more."""
    with LoopbackServer() as server:
        project = write(tmp_path_factory.mktemp("here"), server.base_url)
        project.ok(MY_KEY="sk-a-real-key")
        assert server.count == 3
    assert project.ok("export", "../bundle.tar.zst", MY_KEY="sk-a-real-key").out == (
        f"wrote ../bundle.tar.zst ({size(project.root.parent / 'bundle.tar.zst')} kB): 8 files, 4 targets, 3 answers\n"
    )
    return project


def size(path: Path) -> str:
    return f"{path.stat().st_size / 1000:.1f}".removesuffix(".0")


@pytest.fixture
def there(tmp_path: Path, built: Project) -> Project:
    """Another machine, with the bundle taken in."""
    project = Project(tmp_path / "there")
    project.root.mkdir()
    project.ok("import", str(built.root.parent / "bundle.tar.zst"))
    return project


def test_another_machine_has_what_belongs_to_the_workflow_and_nothing_else(built: Project, there: Project) -> None:
    here = {path: digest for path, digest in contents(built.root).items() if path != "not-used.txt"}
    now = contents(there.root)
    assert now.pop("Dreamfile.lock")
    assert now == here
    assert there.ok("all", "--offline").out == "all is up to date (5 targets)\n"
    assert there.ok("verify").out == "the lock holds (5 targets)\n"


def test_another_machine_builds_identical_bytes_without_network_or_key(built: Project, there: Project) -> None:
    there.ok("clean")
    assert there.built("all", "--offline") == [
        "data/answers",
        "data/questions",
        "data/raw",
        "data/short",
        "notes/sizes.txt",
    ]
    now = contents(there.root)
    assert {path: digest for path, digest in now.items() if path.startswith("data/")} == {
        path: digest for path, digest in contents(built.root).items() if path.startswith("data/")
    }


def test_an_edit_there_asks_only_for_what_it_changed(there: Project) -> None:
    there.edit("frogs", "toads")
    assert there.plan("all")["data/answers"] == "build"
    assert there.plan("all")["data/raw"] == "fresh"
    reason = there.reasons("data/answers", "all")[0]
    assert (reason["old"], reason["new"]) == ("frogs", "toads")


def test_a_bundle_is_the_same_each_time(built: Project, tmp_path: Path) -> None:
    built.ok("export", str(tmp_path / "again.tar.zst"), MY_KEY="sk-a-real-key")
    assert (tmp_path / "again.tar.zst").read_bytes() == (built.root.parent / "bundle.tar.zst").read_bytes()


def test_import_says_what_code_it_brings_and_what_is_the_same(built: Project, there: Project) -> None:
    out = there.ok("import", str(built.root.parent / "bundle.tar.zst")).out
    assert "8 files, 4 targets, 3 answers (0 new)" in out
    assert "the same as before: " in out
    assert "a build of it runs code: lib/steps.py, lib/words.py, the command of sizes; read it first" in out
    assert "its Dreamfile reads variables that are not set here: MY_KEY\n" in out
    assert out.endswith("next: dreammake all --offline\n")
    assert "not set here" not in there.ok("import", str(built.root.parent / "bundle.tar.zst"), MY_KEY="sk-x").out


def test_nothing_is_overwritten_without_saying_so(built: Project, tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.file("system.txt", "Mine.")
    project.file("data/short", "mine, too")
    bundle = str(built.root.parent / "bundle.tar.zst")
    refused = project.run("import", bundle)
    assert refused.code == 2
    assert "hold something else: system.txt, data/short" in refused.err
    assert sorted(contents(tmp_path)) == ["data/short", "system.txt"]
    out = project.ok("import", bundle, "--overwrite").out
    assert "overwritten: system.txt, data/short" in out
    assert (tmp_path / "system.txt").read_text() == "Be brief."


def test_sources_and_targets_stay_out_by_choice(built: Project, tmp_path: Path) -> None:
    file = tmp_path / "small.tar.zst"
    out = built.ok("export", str(file), "--no-sources", "--no-targets", MY_KEY="sk-a-real-key").out
    assert "not in it: raw/a.csv, raw/b.csv (--no-sources)" in out
    there = tmp_path / "there"
    there.mkdir()
    Project(there).ok("import", str(file))
    assert not (there / "raw").exists() and not (there / "data").exists()
    for path in ("raw/a.csv", "raw/b.csv"):
        Project(there).file(path, FILES[path])
    assert len(Project(there).built("all", "--offline")) == 5


def test_only_answers_that_the_targets_reach_go_along(built: Project, tmp_path: Path) -> None:
    [cache] = (built.root / ".dreammake/prompts").glob("*.sqlite")
    store = PromptCache(cache)
    store.add([(b"k" * 20, Answer("from another experiment"))])
    store.close()
    file = tmp_path / "one.tar.zst"
    assert "3 answers" in built.ok("export", str(file), "--no-targets", "data/short").out
    assert "4 answers" in built.ok("cache", "export", str(tmp_path / "all.tar.zst")).out
    assert "4 answers (4 new)" in Project(tmp_path).ok("import", "all.tar.zst").out


def test_what_is_not_up_to_date_stays_out(tmp_path: Path) -> None:
    project = Project(tmp_path).write("""
        rule all:
            input: "a", "b"
        rule a:
            output: "a"
            rows: [{"n": 1}]
        rule b:
            output: "b"
            rows: [{"n": 2}]
        """)
    project.ok("a")
    assert "not in it: b (it is not built, or not up to date)" in project.ok("export", "x.tar.zst").out
    assert project.run("export", "x.tar.zst").code == 2
    assert project.ok("export", "x.tar.zst", "--overwrite", "--json").document["targets"] == ["a"]


def test_rows_that_failed_go_along_and_are_not_tried_offline(tmp_path: Path) -> None:
    project = Project(tmp_path / "here").write(
        """
        model teacher: "table"
            engine: "scripted"
            answers: {"a": "b"}

        rule notes:
            output: "notes"
            rows: [{"text": "a"}, {"text": "c"}]
            prompt answer:
                model: teacher
                prompt: "{{ text }}"
                on_error: "null"
        """
    )
    project.ok("notes")
    project.ok("export", "../notes.tar.zst")
    there = Project(tmp_path / "there")
    there.root.mkdir()
    assert there.ok("import", "../notes.tar.zst", "--json").document["targets"] == ["notes"]
    assert "up to date" in there.ok("notes", "--offline").out
    assert there.rows("notes") == project.rows("notes")
    assert there.ok("show", "notes", "--errors", "--json").document["count"] == 1


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    project = Project(tmp_path).write('rule all:\n    output: "a"\n    rows: [{"n": 1}]\n')
    for words, code in (
        (("export", "."), "file-exists"),
        (("export", "nowhere/x.tar.zst"), "no-such-file"),
        (("export", "/proc/x.tar.zst"), "unwritable-file"),
    ):
        assert f"error[{code}]" in project.run(*words).err
    (tmp_path / "Dreamfile.lock").mkdir()
    assert "error[unwritable-file]: Dreamfile.lock" in project.run("lock").err


def test_a_temporary_target_that_is_gone_is_no_reason_to_look_for_it(there: Project) -> None:
    there.file("lib/words.py", FILES["lib/words.py"].replace("strip()", "upper()"))
    assert there.plan("all") == {
        "data/raw": "build",
        "data/questions": "build",
        "data/answers": "follow",
        "data/short": "follow",
        "notes/sizes.txt": "follow",
    }


@pytest.mark.parametrize("place", ["Dreamfile", "raw.csv", "answer"])
def test_a_bundle_with_a_key_in_it_is_not_written(tmp_path: Path, place: str) -> None:
    key = "sk-0123456789abcdef"
    project = Project(tmp_path).write(f"""
        model teacher: "table"
            engine: "scripted"
            default: "{"x" if place != "answer" else "the key is " + key}"
        rule all:  # {key if place == "Dreamfile" else ""}
            output: "a"
            load: "raw.csv"
            prompt answer:
                model: teacher
                prompt: "{{{{ text }}}}"
        """)
    project.file("raw.csv", f"text\n{key if place == 'raw.csv' else 'none'}\n")
    project.ok()
    result = project.run("export", "x.tar.zst", OPENAI_API_KEY=key)
    assert result.code == 1
    assert "error[secret-found]" in result.err and "env(OPENAI_API_KEY)" in result.err
    assert key not in result.err and not (tmp_path / "x.tar.zst").exists()


def test_a_key_that_is_used_is_nowhere_in_a_bundle(built: Project) -> None:
    raw = pa.CompressedInputStream(pa.OSFile(str(built.root.parent / "bundle.tar.zst")), "zstd").read()
    assert b"Tell me about" in raw and b"sk-a-real-key" not in raw


# Bundles made to do harm

Members = list[tuple[tarfile.TarInfo, bytes]]


def plain(name: str, data: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info, data


def bundle(path: Path, members: Members, listed: list[Any] | None = None, **about: Any) -> Path:
    """A bundle of these members; its manifest lists them as they are, or says `listed`."""
    if listed is None:
        listed = [[info.name, len(data), hashlib.sha256(data).hexdigest()] for info, data in members]
    manifest = {"version": 1, "kind": "bundle", "members": listed, "about": about}
    with pa.CompressedOutputStream(str(path), "zstd") as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
        for info, data in [plain("manifest.json", json.dumps(manifest).encode()), *members]:
            tar.addfile(info, io.BytesIO(data))
    return path


def linked(kind: bytes, to: str) -> Members:
    info = tarfile.TarInfo("project/link")
    info.type, info.linkname = kind, to
    return [(info, b""), plain("project/link/file", b"x")]


HARM: Mapping[str, Callable[[], Members]] = {
    "a path above": lambda: [plain("project/../../evil", b"x")],
    "an absolute path": lambda: [plain("/tmp/evil", b"x")],
    "an absolute path inside": lambda: [plain("project//etc/evil", b"x")],
    "the hooks of git": lambda: [plain("project/.git/hooks/post-checkout", b"x")],
    "the state": lambda: [plain("project/.dreammake/state.sqlite", b"x")],
    "another folder": lambda: [plain("elsewhere/evil", b"x")],
    "a symbolic link": lambda: linked(tarfile.SYMTYPE, "/tmp"),
    "a hard link": lambda: linked(tarfile.LNKTYPE, "/etc/passwd"),
    "a device": lambda: linked(tarfile.CHRTYPE, ""),
    "a pipe": lambda: linked(tarfile.FIFOTYPE, ""),
    "a file twice": lambda: [plain("project/a", b"x"), plain("project/a", b"y")],
    "a file as a folder": lambda: [plain("project/a", b"x"), plain("project/a/b", b"y")],
    "a target without a record": lambda: [plain("targets/data/a/state.json", b"{}")],
    "a cache of another name": lambda: [plain("prompts/../../x.jsonl", b"{}")],
    "a cache that is SQLite": lambda: [plain("prompts/x.sqlite", b"SQLite format 3")],
    "answers that are none": lambda: [plain("prompts/x.jsonl", b'{"about": {}}\n["00", 0, {"text": 1}]\n')],
    "answers too deep": lambda: [plain("prompts/x.jsonl", b'{"about": {}}\n' + b"[" * 100_000)],
    "a line end in a name": lambda: [plain("project/a\nb", b"x")],
}


@pytest.mark.parametrize("harm", HARM)
def test_a_bundle_that_would_do_harm_changes_nothing(tmp_path: Path, harm: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    file = bundle(tmp_path / "evil.tar.zst", HARM[harm]())
    result = Project(root).run("import", str(file))
    assert result.code in (1, 2)
    assert "error[bad-bundle]" in result.err or "error[outside-project]" in result.err
    assert contents(root) == {}
    assert sorted(os.listdir(tmp_path)) == ["evil.tar.zst", "project"]


def test_a_link_in_the_project_leads_nobody_out(tmp_path: Path) -> None:
    root, outside = tmp_path / "project", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "data").symlink_to(outside)
    file = bundle(tmp_path / "x.tar.zst", [plain("project/data/a", b"x")])
    result = Project(root).run("import", str(file), "--overwrite")
    assert (result.code, "error[outside-project]" in result.err) == (2, True)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [["project/a", 1, "00"]],
        [["project/a", 9, hashlib.sha256(b"x").hexdigest()]],
        [["project/b", 1, hashlib.sha256(b"x").hexdigest()]],
        [["project/a", 1, hashlib.sha256(b"x").hexdigest()], ["project/b", 1, "00"]],
        [["project/a", -1, "00"]],
        [7],
        "all",
    ],
)
def test_a_bundle_that_is_not_what_its_manifest_says(tmp_path: Path, listed: Any) -> None:
    file = bundle(tmp_path / "x.tar.zst", [plain("project/a", b"x")], listed)
    root = tmp_path / "project"
    root.mkdir()
    result = Project(root).run("import", str(file))
    assert (result.code, "error[bad-bundle]" in result.err) == (1, True)
    assert contents(root) == {}


def test_a_bundle_cut_off_or_damaged_anywhere_is_refused_whole(built: Project, tmp_path: Path) -> None:
    whole = (built.root.parent / "bundle.tar.zst").read_bytes()
    root = tmp_path / "project"
    root.mkdir()
    for number in (1, 2, 3):
        at = len(whole) * number // 4
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]):
            (tmp_path / "x.tar.zst").write_bytes(data)
            result = Project(root).run("import", str(tmp_path / "x.tar.zst"))
            assert result.code == 1 and "error[bad-bundle]" in result.err, result
            assert contents(root) == {}


def test_a_target_that_does_not_hold_what_its_record_says(built: Project, tmp_path: Path) -> None:
    raw = pa.CompressedInputStream(pa.OSFile(str(built.root.parent / "bundle.tar.zst")), "zstd").read()
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        members = [(info, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
    manifest = json.loads(members[0][1])
    changed = [
        plain(i.name, d.replace(b"frogs", b"toads")) if i.name.startswith("targets/") else (i, d) for i, d in members
    ]
    changed = [plain(i.name, d + b" ") if i.name == "targets/notes/sizes.txt" else (i, d) for i, d in changed]
    file = bundle(tmp_path / "x.tar.zst", changed[1:], **manifest["about"])
    result = Project(tmp_path).run("import", str(file))
    assert "notes/sizes.txt does not hold what its record says" in result.err
    assert contents(tmp_path).keys() == {"x.tar.zst"}


def record(*outputs: str) -> dict[str, Any]:
    one = {"id": outputs[0], "rule": "a", "shared": "0", "own": "[]", "inputs": "{}", "facts": {}}
    return one | {"outputs": [[path, "0" * 32] for path in outputs], "built_at": 0, "seconds": 0}


def test_a_record_claims_nothing_that_the_bundle_does_not_bring(tmp_path: Path) -> None:
    project = Project(tmp_path / "project").write('rule all:\n    output: "a"\n    rows: [{"n": 1}]\n')
    project.file("precious/thesis.txt", "years of work")
    above = bundle(tmp_path / "above.tar.zst", [], records=[record("../precious")], ingredients={"0": []})
    assert "error[bad-bundle]" in project.run("import", str(above)).err
    file = bundle(tmp_path / "x.tar.zst", [], records=[record("precious")], ingredients={"0": []})
    project.ok("import", str(file))
    project.ok("clean")
    assert (project.root / "precious/thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("data", [b"", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"x" * 5000])
def test_a_file_that_is_no_bundle(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    result = Project(tmp_path).run("import", "x")
    assert (result.code, "error[bad-bundle]" in result.err) == (1, True)
