"""`dreammake publish`: to a Hub on loopback, and back with the libraries that people use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import LoopbackHub
from tests.support.project import Project, interrupt
from tests.support.publishing import Publisher, metadata
from tests.support.server import Trouble

DREAMFILE = '''
    """Little tweets."""

    model teacher: "nobody/in-particular"
        engine: "scripted"
        answers: ["short", "longer", "the longest"]
        temperature: 0.5

    rule notes:
        output: "data/notes"
        rows: [{"topic": f"topic {n}", "n": n} for n in range(40)]

    rule tweets:
        """Tweets of a machine."""
        input: "data/notes"
        output: "data/tweets"
        prompt tweet:
            model: teacher
            prompt: "Write a tweet about {{ topic }}."
        publish: "me/tweets"

    rule split:
        input: "data/tweets"
        output:
            train: "data/train"
            eval: "data/eval"
        split:
            train: 0.75
            eval: 0.25
        publish: "team/split-tweets"
'''
LICENSES = '[models."nobody/*"]\nlicense = "mit"\n'


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with its targets, to be copied: what is built once need not be built for each test."""
    project = Project(tmp_path_factory.mktemp("built")).write(DREAMFILE)
    project.file("licenses.toml", LICENSES)
    project.ok("split")
    return project.root


@pytest.fixture
def publisher(tmp_path: Path, built: Path, hub: LoopbackHub) -> Publisher:
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    return Publisher(Project(tmp_path), hub)


def test_a_dataset_is_published_and_read_back(publisher: Publisher) -> None:
    told = publisher.ok("tweets").out
    repo = publisher.hub.repo("datasets/me/tweets")
    assert "  +  " in told
    assert "published http://127.0.0.1" in told
    assert repo.history() == ["Publish data/tweets by dreammake", "initial commit"]
    assert set(repo.files()) == {
        ".gitattributes",
        "README.md",
        "dreammake.json",
        "data/train-00000-of-00001.parquet",
    }
    read = publisher.read("{name: rows.to_list() for name, rows in load_dataset('me/tweets').items()}")
    assert read == {"train": publisher.project.rows("data/tweets")}


def test_outputs_with_names_are_splits_of_one_dataset(publisher: Publisher) -> None:
    publisher.ok("data/eval")
    readme = publisher.hub.repo("datasets/team/split-tweets").files()["README.md"]
    (config,) = metadata(readme)["configs"]
    assert b'["data/train, data/eval"]' in readme
    assert [split["split"] for split in config["data_files"]] == ["train", "eval"]
    read = publisher.read("{name: rows['n'][:] for name, rows in load_dataset('team/split-tweets').items()}")
    rows = publisher.project.rows
    assert read == {name: [row["n"] for row in rows(f"data/{name}")] for name in ("train", "eval")}


def test_a_snapshot_has_every_file(publisher: Publisher) -> None:
    publisher.ok("tweets")
    folder = publisher.python(
        "from huggingface_hub import snapshot_download; print(snapshot_download('me/tweets', repo_type='dataset'))"
    )
    there = Path(folder.strip())
    files = publisher.hub.repo("datasets/me/tweets").files()
    assert {name: (there / name).read_bytes() for name in files} == files


def test_publishing_again_sends_nothing(publisher: Publisher) -> None:
    publisher.ok("tweets")
    calls = len(publisher.hub.calls)
    assert "nothing changed" in publisher.ok("tweets").out
    assert not any(method == "POST" for method, _ in publisher.hub.calls[calls:])
    assert len(publisher.hub.repo("datasets/me/tweets").history()) == 2


def test_a_change_sends_what_changed(publisher: Publisher) -> None:
    publisher.ok("split")
    uploads = publisher.hub.count("PUT", "/lfs/")
    publisher.project.edit('"""Little tweets."""', '"""Little tweets, explained."""')
    files = {file["name"]: file["action"] for file in publisher.ok("split", "--json").document["files"]}
    assert {name for name, action in files.items() if action == "changed"} == {"README.md", "dreammake.json"}
    assert publisher.hub.count("PUT", "/lfs/") == uploads


def test_what_people_write_stays(publisher: Publisher) -> None:
    publisher.ok("tweets")
    repo = publisher.hub.repo("datasets/me/tweets")
    text = repo.files()["README.md"].decode()
    text = text.replace("# tweets\n", "# Tweets of topics\n\nWritten for a course.\n")
    text = text.replace("license: mit\n", "license: cc-by-4.0\npretty_name: Tweets\n").replace(
        "- synthetic\n", "- synthetic\n- course\n"
    )
    repo.put("README.md", f"{text}\nSee also: nothing.\n".encode())
    publisher.project.edit("Tweets of a machine.", "Tweets of a small machine.")
    publisher.ok("tweets")
    now = repo.files()["README.md"].decode()
    assert "# Tweets of topics\n\nWritten for a course.\n" in now
    assert now.endswith("\nSee also: nothing.\n")
    assert "Tweets of a small machine." in now
    assert "Tweets of a machine." not in now
    told = metadata(now.encode())
    assert (told["license"], told["pretty_name"], told["tags"]) == (
        "cc-by-4.0",
        "Tweets",
        ["dreammake", "synthetic", "course"],
    )


def test_shards_of_a_larger_dataset_go_with_it(publisher: Publisher) -> None:
    publisher.ok("tweets")
    repo = publisher.hub.repo("datasets/me/tweets")
    document = json.loads(repo.files()["dreammake.json"])
    document["files"]["data/train-00001-of-00002.parquet"] = "0" * 64
    repo.put("data/train-00001-of-00002.parquet", b"an old shard")
    repo.put("notes.txt", b"by hand")
    repo.put("dreammake.json", json.dumps(document).encode())
    told = publisher.ok("tweets").out
    assert "data/train-00001-of-00002.parquet" in told
    assert "data/train-00001-of-00002.parquet" not in repo.files()
    assert repo.files()["notes.txt"] == b"by hand"


def test_a_dry_run_sends_nothing(publisher: Publisher) -> None:
    result = publisher.ok("tweets", "--dry-run")
    assert "README.md" in result.out
    assert "## How it was made" in result.out
    assert {method for method, _ in publisher.hub.calls} == {"GET"}
    assert publisher.hub.repos == {}
    alone = publisher.publish("tweets", "-n", "--json", HF_TOKEN="", HF_HUB_OFFLINE="1")
    assert alone.document["readme"].startswith("---\nlicense: mit\n")
    assert not list((publisher.project.root / ".dreammake" / "publish").glob("*"))


def test_a_stale_target_is_built_or_refused(publisher: Publisher) -> None:
    publisher.project.edit("Write a tweet", "Now write a tweet")
    assert publisher.code("tweets", "--no-build") == "stale-target"
    assert publisher.code("tweets", "--dry-run") == "stale-target"
    assert publisher.hub.repos == {}
    assert "done   data/tweets" in publisher.ok("tweets").out


def test_options_of_the_command_line(publisher: Publisher) -> None:
    told = publisher.ok("tweets", "--to", "other", "--private", "--revision", "draft", "--tag", "v1", "--json").document
    repo = publisher.hub.repo("datasets/me/other")
    assert told["repository"] == "me/other"
    assert repo.private
    assert repo.tags == {"v1": told["commit"]}
    assert repo.branches["draft"] == told["commit"] != repo.branches["main"]
    pull = publisher.ok("tweets", "--to", "other", "--create-pr", "--json").document
    assert pull["pull_request"].endswith("/discussions/1")
    assert "README.md" in repo.files("refs/pr/1")
    assert "README.md" not in repo.files("main")


def test_a_tag_of_another_commit_is_left(publisher: Publisher) -> None:
    publisher.ok("tweets", "--tag", "v1")
    publisher.ok("tweets", "--tag", "v1")
    publisher.project.edit("Tweets of a machine.", "Tweets.")
    assert publisher.code("tweets", "--tag", "v1") == "tag-taken"


@pytest.mark.parametrize(
    ("words", "environment", "code"),
    [
        (["tweets"], {"HF_TOKEN": ""}, "no-hub-token"),
        (["tweets", "--to", "others/tweets"], {}, "no-hub-right"),
        (["tweets"], {"HF_HUB_OFFLINE": "1"}, "hub-offline"),
        (["tweets", "--to", "a/b/c"], {}, "bad-repo-name"),
        (["notes"], {}, "no-repo-name"),
        (["nothing"], {}, "unknown-target"),
    ],
)
def test_one_clear_error_each(publisher: Publisher, words: list[str], environment: dict[str, str], code: str) -> None:
    assert publisher.code(*words, **environment) == code
    assert publisher.hub.repos == {}


def test_trouble_at_the_commit_changes_nothing(publisher: Publisher) -> None:
    publisher.hub.trouble = lambda method, path, number: Trouble(500) if "/commit/" in path else None
    assert publisher.code("tweets") == "hub-failed"
    repo = publisher.hub.repo("datasets/me/tweets")
    assert repo.history() == ["initial commit"]
    publisher.hub.trouble = lambda method, path, number: None
    uploads = publisher.hub.count("PUT", "/lfs/")
    publisher.ok("tweets")
    assert len(repo.history()) == 2
    assert publisher.hub.count("PUT", "/lfs/") == uploads


def test_a_repository_that_holds_something_else_is_left(publisher: Publisher) -> None:
    publisher.hub.create("datasets/me/tweets", **{"mine.csv": "a,b\n"})
    assert publisher.code("tweets") == "name-taken"
    assert len(publisher.hub.repo("datasets/me/tweets").history()) == 1


@pytest.mark.parametrize("at", [("PUT", "/lfs/"), ("POST", "/commit/")])
def test_killed_while_it_sends(publisher: Publisher, at: tuple[str, str]) -> None:
    publisher.hub.holds = lambda method, path: method == at[0] and at[1] in path
    process = publisher.project.start("publish", "tweets", **publisher.environment)
    publisher.hub.wait_for(*at)
    process.kill()
    process.communicate()
    publisher.hub.release()
    repo = publisher.hub.repo("datasets/me/tweets")
    publisher.ok("tweets")
    assert repo.history() == ["Publish data/tweets by dreammake", "initial commit"]
    assert publisher.ok("tweets").out.count("nothing changed") == 1
    assert repo.files()["data/train-00000-of-00001.parquet"][:4] == b"PAR1"


def test_ctrl_c_while_it_sends(publisher: Publisher) -> None:
    publisher.hub.holds = lambda method, path: method == "PUT"
    process = publisher.project.start("publish", "tweets", **publisher.environment)
    publisher.hub.wait_for("PUT", "/lfs/")
    interrupt(process)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert publisher.hub.repo("datasets/me/tweets").history() == ["initial commit"]


def test_a_plain_file_cannot_be_published(tmp_path: Path, hub: LoopbackHub) -> None:
    project = Project(tmp_path).write(
        'rule a:\n    output: "a.txt"\n    shell: "echo x > {output}"\n    publish: "me/a"\n'
    )
    assert Publisher(project, hub).code("a.txt") == "wrong-kind"
    project.edit('"a.txt"', '"a.txt", "b.txt"')
    project.edit("echo x > {output}", "touch {output}")
    assert "several targets that are not all datasets" in Publisher(project, hub).publish("a").err
    project.edit("touch {output}", "for o in {output}; do cp -r data $o; done")
    project.edit("rule a:", 'rule rows:\n    output: "data"\n    rows: [{"n": 1}]\n\nrule a:\n    input: "data"')
    project.ok("a")
    assert Publisher(project, hub).code("a") == "bad-name"
    assert hub.repos == {}


def test_a_dry_run_shows_what_it_can_where_nobody_answers(publisher: Publisher) -> None:
    result = publisher.publish("tweets", "--dry-run", HF_ENDPOINT="http://127.0.0.1:9")
    assert result.code == 0
    assert result.out.endswith("nothing was sent, and the Hub was not asked what it holds\n")
    assert publisher.code("tweets", HF_ENDPOINT="http://127.0.0.1:9") == "hub-unreachable"


def test_a_new_branch_begins_as_main(publisher: Publisher) -> None:
    publisher.ok("tweets")
    repo = publisher.hub.repo("datasets/me/tweets")
    repo.put("README.md", repo.files()["README.md"] + b"\nWritten by hand.\n")
    publisher.project.edit("Tweets of a machine.", "Tweets.")
    actions = {
        file["name"]: file["action"]
        for file in publisher.ok("tweets", "--revision", "draft", "--json").document["files"]
    }
    assert actions["README.md"] == "changed"
    assert actions["data/train-00000-of-00001.parquet"] == "same"
    assert repo.files("draft")["README.md"].endswith(b"\nWritten by hand.\n")
    assert len(repo.history("draft")) == len(repo.history()) + 1
    publisher.hub.create("datasets/me/other", **{"mine.csv": "a,b\n"})
    assert publisher.code("tweets", "--to", "me/other", "--revision", "draft") == "name-taken"
    assert list(publisher.hub.repo("datasets/me/other").branches) == ["main"]


def test_rows_that_failed_are_tried_again_only_where_a_build_is_wanted(tmp_path: Path, hub: LoopbackHub) -> None:
    project = Project(tmp_path).write(
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
            publish: "me/notes"
        """
    )
    project.ok("notes")
    publisher = Publisher(project, hub)
    assert "nothing was sent" in publisher.ok("notes", "--dry-run").out
    publisher.ok("notes", "--no-build")
    readme = hub.repo("datasets/me/notes").files()["README.md"].decode()
    assert "| rows without a result | 1 |" in readme
    assert publisher.read("load_dataset('me/notes')['train'].to_list()") == project.rows("notes")
