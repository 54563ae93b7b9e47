"""One repository of the Hub, on loopback: what is read, what is committed, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from dreammake.core.diagnostic import DreamError
from dreammake.hub.parquet import data_file
from dreammake.hub.repository import Content, Repository
from dreammake.hub.uploading import uploads
from tests.support.hub import READ_ONLY, TOKEN, LoopbackHub
from tests.support.server import Trouble


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub.url}{template[1]}{template[2]}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        huggingface_hub.close_session()
        yield hub
    huggingface_hub.close_session()


def made(name: str = "me/thing") -> Repository:
    repository = Repository(name, "model")
    repository.create(private=False)
    return repository


def commit(repository: Repository, *contents: Content, gone: tuple[str, ...] = ()) -> str:
    head = repository.head()
    assert head is not None
    return repository.commit(contents, gone, "a message", head.commit).commit


def code_of(repository: Repository) -> str:
    with pytest.raises(DreamError) as error:
        repository.sign_in()
        repository.create(private=False)
        commit(repository, Content("a.txt", b"a"))
    assert error.value.exit_code == 1
    return error.value.diagnostics[0].code


def test_what_is_committed_is_there(hub: LoopbackHub, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"\0" * 2000)
    weights = Content("w/model.safetensors", data_file("w/model.safetensors", tmp_path / "weights"))
    text = Content("a.txt", b"words")
    repository = made()
    empty = repository.head()
    assert empty is not None
    assert not text.is_there(empty)
    sha = commit(repository, text, weights)
    head = repository.head()
    assert head is not None
    assert head.commit == sha
    assert text.is_there(head)
    assert weights.is_there(head)
    assert not Content("a.txt", b"other words").is_there(head)
    assert repository.read("a.txt", head) == "words"
    assert repository.read("b.txt", head) is None
    commit(repository, gone=("a.txt",))
    assert set(hub.repo("me/thing").files()) == {".gitattributes", "w/model.safetensors"}


def test_no_such_repository_or_branch_is_no_error(hub: LoopbackHub) -> None:
    assert Repository("me/nothing", "dataset").head() is None
    made()
    assert Repository("me/thing", "model", "draft").head() is None


def test_a_name_without_an_organization_is_the_users(hub: LoopbackHub) -> None:
    repository = Repository("thing", "model")
    assert repository.owned("other") == "other"
    repository.sign_in()
    assert (repository.owned("other"), repository.owned("team/other")) == ("me/other", "team/other")
    assert repository.name == "me/thing"


def test_a_tag_is_made_once(hub: LoopbackHub) -> None:
    repository = made()
    first = commit(repository, Content("a.txt", b"a"))
    repository.tag("v1", first)
    repository.tag("v1", first)
    second = commit(repository, Content("a.txt", b"b"))
    with pytest.raises(DreamError, match="tag-taken"):
        repository.tag("v1", second)
    assert hub.repo("me/thing").tags == {"v1": first}


def test_a_commit_of_somebody_else_in_between(hub: LoopbackHub) -> None:
    def meanwhile(method: str, path: str, number: int) -> None:
        if "/preupload/" in path:
            hub.repo("me/thing").put("notes.txt", b"me too")

    hub.trouble = meanwhile
    assert code_of(Repository("me/thing", "model")) == "hub-changed"
    assert "a.txt" not in hub.repo("me/thing").files()


def test_a_connection_that_is_cut_once_is_taken_up_again(hub: LoopbackHub, tmp_path: Path) -> None:
    cut: list[int] = []

    def once(method: str, path: str, number: int) -> Trouble | None:
        if method == "PUT" and not cut:
            cut.append(number)
            return Trouble(reset=True)
        return None

    (tmp_path / "weights").write_bytes(b"\0" * 2000)
    hub.trouble = once
    commit(made(), Content("w.safetensors", data_file("w.safetensors", tmp_path / "weights")))
    assert cut
    assert "w.safetensors" in hub.repo("me/thing").files()


@pytest.mark.parametrize("part", ["/api/whoami-v2", "/api/repos/create", "/commit/"])
@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (Trouble(401, message="Invalid credentials in Authorization header"), "bad-hub-token"),
        (Trouble(403, message="no"), "no-hub-right"),
        (Trouble(404, message="not there"), "no-such-repo"),
        (Trouble(412, message="A commit has happened since"), "hub-changed"),
        (Trouble(422, message="not like this"), "hub-refused"),
        (Trouble(429, message="slow down"), "hub-busy"),
        (Trouble(500, message="oh"), "hub-failed"),
        (Trouble(reset=True), "hub-unreachable"),
    ],
)
def test_each_trouble_has_its_error(hub: LoopbackHub, part: str, trouble: Trouble, code: str) -> None:
    hub.trouble = lambda method, path, number: trouble if part in path else None
    assert code_of(Repository("me/thing", "model")) == code
    assert all(repo.history() == ["initial commit"] for repo in hub.repos.values())


def test_a_large_file_that_is_refused(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.trouble = lambda method, path, number: Trouble(403, message="no more room") if method == "PUT" else None
    (tmp_path / "weights").write_bytes(b"\0" * 2000)
    repository, content = made(), Content("w.bin", data_file("w.bin", tmp_path / "weights"))
    with pytest.raises(DreamError, match="no-hub-right"), uploads(repository, None) as under_way:
        under_way.add(content)


def test_a_pull_request_to_a_repository_of_others(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.create("others/thing")
    (tmp_path / "weights").write_bytes(b"\0" * 2000)
    content = Content("w.bin", data_file("w.bin", tmp_path / "weights"))
    repository = Repository("others/thing", "model", pull_request=True)
    head = repository.head()
    assert head is not None
    with uploads(repository, head) as under_way:
        under_way.add(content)
    done = repository.commit([content], [], "a message", head.commit)
    assert done.pull_request == f"{hub.url}/others/thing/discussions/1"
    assert hub.repo("others/thing").history() == ["initial commit"]


def test_large_files_are_sent_ahead_of_their_commit(hub: LoopbackHub, tmp_path: Path) -> None:
    contents = []
    for number in range(3):
        (tmp_path / f"{number}").write_bytes(bytes([number]) * 2000)
        contents.append(Content(f"{number}.bin", data_file(f"{number}.bin", tmp_path / f"{number}")))
    repository = made()
    with uploads(repository, None) as under_way:
        for content in contents:
            under_way.add(content)
    assert hub.count("PUT", "/lfs/") == 3
    commit(repository, *contents)
    assert hub.count("PUT", "/lfs/") == 3
    with uploads(repository, repository.head()) as under_way:
        under_way.add(contents[0])
    assert hub.count("POST", "/preupload/") == 4


def test_a_name_that_is_taken(hub: LoopbackHub) -> None:
    hub.trouble = lambda method, path, number: Trouble(409, message="taken") if "/commit/" in path else None
    assert code_of(Repository("me/thing", "model")) == "name-taken"


@pytest.mark.parametrize(
    ("token", "name", "code"),
    [
        ("hf_unknown_1234567", "me/thing", "bad-hub-token"),
        (READ_ONLY, "me/thing", "no-hub-right"),
        (TOKEN, "others/thing", "no-hub-right"),
    ],
)
def test_tokens(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, token: str, name: str, code: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    assert code_of(Repository(name, "model")) == code


def test_nobody_answers(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert code_of(Repository("me/thing", "model")) == "hub-unreachable"


def test_a_server_that_says_more_than_a_line(hub: LoopbackHub) -> None:
    hub.trouble = lambda method, path, number: Trouble(500, message="one two " + "x" * 1000)
    with pytest.raises(DreamError) as error:
        made()
    assert len(error.value.diagnostics[0].message) < 300
