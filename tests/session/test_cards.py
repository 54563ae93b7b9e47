"""What a published card tells: of the whole chain, in the README and in `dreammake.json`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub import LoopbackHub
from tests.support.project import Project
from tests.support.publishing import Publisher, metadata
from tests.support.server import LoopbackServer


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        yield hub


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


def test_parts_of_the_hub_stand_with_their_commit_and_the_licence_of_their_readme(
    tmp_path: Path, hub: LoopbackHub
) -> None:
    for name, license in (("alike", "cc-by-sa-4.0"), ("free", "cc-by-nc-4.0")):
        readme = f"---\nlicense: {license}\nlanguage: de\n---\n"
        hub.create(f"datasets/team/{name}", **{"train.jsonl": '{"word": "owl"}\n', "README.md": readme})
    project = Project(tmp_path).write(
        """
        model writer: "nobody"
            engine: "scripted"
            default: "A text."
            system: \"\"\"
                You write with `care`.

                One sentence is enough.
                \"\"\"

        rule words:
            output: "data/{name:alike|free}"
            load: f"hf://team/{name}"
                split: "train"

        rule texts:
            input: "data/alike", "data/free"
            output: "data/texts"
            concat: "data/free"
            prompt text:
                model: writer
                prompt: "{{ word }}"
            publish: "texts"
        """
    )
    project.file("licenses.toml", '[models."nobody"]\nlicense = "mit"\n')
    publisher = Publisher(project, hub)
    publisher.ok("texts")
    readme = hub.repo("datasets/me/texts").files()["README.md"].decode()
    for name in ("alike", "free"):
        commit = hub.repo(f"datasets/team/{name}").branches["main"]
        assert f"| [team/{name}](https://huggingface.co/datasets/team/{name}) | {commit} |" in readme
    told = metadata(readme.encode())
    assert told["source_datasets"] == ["team/alike", "team/free"]
    assert (told["language"], told["license_name"]) == (["de"], "conflicting-cc-by-nc-4.0-and-cc-by-sa-4.0-and-mit")
    assert "which allows commerce; that is forbidden by" in readme
    assert "system of `nobody`:\n\n```\nYou write with `care`.\n\nOne sentence is enough.\n```" in readme
    publisher.environment["HF_HOME"] = str(tmp_path / "elsewhere")
    assert "nothing changed" in publisher.ok("texts").out
