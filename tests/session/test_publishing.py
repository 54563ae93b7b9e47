"""`dreammake publish`: to a Hub on loopback, and back with the libraries that people use."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import LoopbackHub
from tests.support.project import Project, interrupt
from tests.support.publishing import Publisher, metadata
from tests.support.server import LoopbackServer, Trouble

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


CHAIN = '''
    """Answers about papers and notes."""

    model teacher: "openai/gpt-4o"
        temperature: 0.7
        max_tokens: 64

    model critic: "openai/gpt-oss-20b"
        system: "You are strict."

    model own: "openai/our-own"

    rule papers:
        output: "data/papers"
        load: "sources/papers.csv"

    rule notes:
        output: "data/notes"
        load: "sources/notes.csv"

    rule questions:
        input: "data/papers"
        output: "data/questions"
        prompt question:
            model: teacher
            prompt: "Ask about {{ text }}."

    rule replies:
        input: "data/questions", "data/notes"
        output: "data/replies"
        concat: "data/notes"
        prompt reply:
            model: critic
            prompt: "Reply: {{ text }}."

    rule final:
        """The end of it."""
        input: "data/replies"
        output: "data/final"
        prompt verdict:
            model: own
            prompt: "Judge {{ reply }} with {{ env_key }}."
'''


def test_the_card_of_a_long_chain(tmp_path: Path, hub: LoopbackHub) -> None:
    dreamfile = CHAIN.replace("{{ env_key }}", "``` and | signs")
    project = Project(tmp_path).write(dreamfile)
    project.file("sources/papers.csv", "text\none\ntwo\n")
    project.file("sources/notes.csv", "text\nthree\n")
    project.file(
        "licenses.toml",
        '[datasets."sources/papers.csv"]\nlicense = "cc-by-sa-4.0"\nlanguage = "en"\nurl = "https://example.org/papers"\n'
        'cite = "@misc{papers, title={Papers}}"\n'
        '[datasets."sources/notes.csv"]\nlicense = "cc-by-nc-4.0"\n'
        '[models."openai/our-own"]\nlicense = "ours"\n[licenses.ours]\nname = "Our licence"\n',
    )
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    key = "sk-secret-of-the-teacher"
    publisher = Publisher(project, hub)
    with LoopbackServer() as server:
        publisher.environment |= {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": key}
        publisher.ok("final", "--to", "me/final")
    files = hub.repo("datasets/me/final").files()
    readme, document = files["README.md"].decode(), json.loads(files["dreammake.json"])
    told = metadata(files["README.md"])
    assert told["license"] == "other"
    assert told["license_name"].startswith("conflicting-")
    assert told["language"] == ["en"]
    assert told["tags"] == ["dreammake", "synthetic"]
    assert told["size_categories"] == ["n<1K"]
    for part in ("gpt-4o", "gpt-oss-20b", "our-own", "sources/papers.csv", "sources/notes.csv", "Our licence"):
        assert part in readme
    assert "contradict each other" in readme
    assert "cc-by-sa-4.0 (sources/papers.csv) wants the whole under itself" in readme
    assert "compete with OpenAI" in readme
    assert "@misc{papers, title={Papers}}" in readme
    assert "GPT-4o System Card" in readme
    assert "temperature `0.7`" in readme
    assert "You are strict." in readme
    assert "````\nJudge {{ reply }} with ``` and | signs.\n````" in readme
    assert "-->|questions|" in readme
    assert document["totals"]["prompts_asked"] == 2 + 3 + 3
    assert document["totals"]["completion_tokens"] > 0
    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert document["dreamfile"] == {"file": "Dreamfile", "commit": head.stdout.strip(), "changed_since": False}
    assert document["built_with"]["dreammake"]
    assert document["built_with"]["packages"]["pyarrow"]
    assert [link["rule"] for link in document["chain"]][-1] == "final"
    assert len(document["chain"]) == 5
    assert all(link["date"] and all(link["fingerprints"].values()) for link in document["chain"])
    assert not any(key.encode() in data for data in files.values())


def test_no_key_and_no_place_is_in_what_is_published(tmp_path: Path, hub: LoopbackHub) -> None:
    secret, password = "topsecretvalue-of-env", "swordfish99"
    project = Project(tmp_path)
    project.file("outside/rows.csv", f"text,seen\none,{secret}\n")
    rows = project.root / "outside" / "rows.csv"
    with LoopbackServer() as server:
        address = server.base_url.replace("http://", f"http://user:{password}@") + "?api_key=inlinekey123"
        project.write(
            f"""
            config:
                part: env("SERVICE_PART")

            model m: "openai/m"
                base_url: "{server.base_url}"
                system: f"Use {{config.part}}; see {address}"

            rule a:
                output: "data/a"
                load: "{rows}"
                prompt b:
                    model: m
                    prompt: "Say {{{{ text }}}} by {{{{ config.part }}}}."
                publish: "me/a"
            """
        )
        publisher = Publisher(project, hub)
        publisher.environment["SERVICE_PART"] = secret
        publisher.ok("a")
    files = hub.repo("datasets/me/a").files()
    for name in ("README.md", "dreammake.json"):
        text = files[name].decode()
        for word in (secret, password, "inlinekey123", publisher.environment["HF_TOKEN"], str(tmp_path)):
            assert word not in text, f"{word} is in {name}"
        assert "env(SERVICE_PART)" in text
        assert "rows.csv" in text
