"""One repository of the Hub: what is in it, and one atomic commit to it. All of huggingface_hub stays in here."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dreammake.core.diagnostic import fail
from dreammake.core.secrets import SECRETS
from dreammake.hub.parquet import DataFile
from dreammake.hub.trouble import in_words, no_token, offline

Kind = Literal["model", "dataset"]
MAIN = "main"
FROM_THE_START = (".gitattributes", "README.md")
"""Files that a new repository may have."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a revision holds. `files` gives the hash of each file's bytes: git's own for a small one, SHA-256 for a
    large one (64 digits)."""

    commit: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Content:
    """One file to send: bytes, or a file on disk."""

    name: str
    data: bytes | DataFile

    @property
    def size(self) -> int:
        return len(self.data) if isinstance(self.data, bytes) else self.data.size

    def is_there(self, head: Head) -> bool:
        """Does the repository hold the same bytes under this name?"""
        there = head.files.get(self.name, "")
        return bool(there) and there == (self.sha256 if len(there) == 64 else self._git_hash())

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest() if isinstance(self.data, bytes) else self.data.sha256

    def _git_hash(self) -> str:
        data = self.data if isinstance(self.data, bytes) else self.data.path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True, slots=True)
class Committed:
    """What came of it: the commit, its address, and that of the pull request where one was asked for."""

    commit: str
    url: str
    pull_request: str | None = None


class Repository:
    """A repository by its name (`org/name`), which may not exist yet. What is committed goes to the revision, or into a
    pull request. Raises DreamError for all that goes wrong."""

    def __init__(self, name: str, kind: Kind, revision: str = MAIN, *, pull_request: bool = False) -> None:
        hub = _library()
        self._api = hub.HfApi()
        self.endpoint: str = self._api.endpoint
        self.kind = kind
        self.revision = revision
        self.name = name
        self._pull_request = pull_request
        self._user: str | None = None

    @property
    def url(self) -> str:
        return f"{self.endpoint}/{'datasets/' if self.kind == 'dataset' else ''}{self.name}"

    def sign_in(self) -> None:
        """Ask who the user of the token is. Raises DreamError `no-hub-token`, `bad-hub-token`, `hub-offline`."""
        from huggingface_hub import constants, get_token

        if constants.HF_HUB_OFFLINE:
            offline(self.endpoint)
        token = get_token()
        if not token:
            no_token()
        SECRETS.add(token, "env(HF_TOKEN)", "HF_TOKEN")
        with self._calling():
            self._user = str(self._api.whoami()["name"])
        self.name = self.owned(self.name)

    def owned(self, name: str) -> str:
        """A name of a repository as it is in full: without an organization it is the user's, who is known once signed
        in."""
        return name if "/" in name or self._user is None else f"{self._user}/{name}"

    def head(self, revision: str | None = None) -> Head | None:
        """What its revision, or another one, holds now; None where there is no such repository or revision."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        with self._calling():
            try:
                info = self._api.repo_info(self.name, repo_type=self.kind, revision=revision or self.revision)
                tree = self._api.list_repo_tree(self.name, recursive=True, revision=info.sha, repo_type=self.kind)
                files = {entry.path: _hash_of(entry) for entry in tree if hasattr(entry, "blob_id")}
            except (RepositoryNotFoundError, RevisionNotFoundError) as error:
                if error.response.status_code == 401 and "credentials" in str(error).lower():
                    raise
                return None
        return Head(info.sha or "", files)

    def read(self, name: str, head: Head) -> str | None:
        """The text of a small file; None where there is none."""
        if name not in head.files:
            return None
        with self._calling(), tempfile.TemporaryDirectory() as folder:
            found = self._api.hf_hub_download(
                self.name, name, repo_type=self.kind, revision=head.commit, local_dir=folder
            )
            return Path(found).read_text(encoding="utf-8", errors="replace")

    def card_of(self, name: str, kind: Kind, revision: str | None) -> str | None:
        """The README of another repository: from this machine's cache or, once signed in, from the Hub. None where it
        cannot be had."""
        from huggingface_hub import try_to_load_from_cache

        try:
            found = try_to_load_from_cache(name, "README.md", revision=revision, repo_type=kind)
            if not isinstance(found, str) and self._user is not None:
                found = self._api.hf_hub_download(name, "README.md", repo_type=kind, revision=revision)
            return Path(found).read_text(encoding="utf-8") if isinstance(found, str) else None
        except Exception:  # the library has errors of its own for each status, and passes httpx's on
            return None

    def create(self, *, private: bool) -> None:
        """Make the repository and the branch where they are missing. One that is there keeps its visibility."""
        with self._calling():
            self._api.create_repo(self.name, repo_type=self.kind, private=private or None, exist_ok=True)
            if self.revision != MAIN:
                self._api.create_branch(self.name, branch=self.revision, repo_type=self.kind, exist_ok=True)

    def upload(self, content: Content) -> None:
        """Send a large file ahead of its commit; the Hub then has it, and no commit names it yet."""
        with self._calling():
            self._api.preupload_lfs_files(
                self.name,
                [_addition(content)],
                repo_type=self.kind,
                revision=self.revision,
                create_pr=self._pull_request,
            )

    def commit(self, contents: Sequence[Content], gone: Sequence[str], message: str, parent: str | None) -> Committed:
        """One commit: all of the contents and without the files that are gone, or nothing. Fails where the revision is
        not at `parent` any more."""
        from huggingface_hub import CommitOperationDelete

        operations: list[Any] = [CommitOperationDelete(name) for name in gone]
        operations += map(_addition, contents)
        with self._calling():
            done = self._api.create_commit(
                self.name,
                operations,
                commit_message=message,
                repo_type=self.kind,
                revision=self.revision,
                parent_commit=parent,
                create_pr=self._pull_request,
            )
        return Committed(done.oid, f"{self.url}/commit/{done.oid}", done.pr_url)

    def tag(self, name: str, commit: str) -> None:
        """Give a commit a name. Raises DreamError `tag-taken` where another commit has it."""
        from huggingface_hub.errors import HfHubHTTPError

        with self._calling():
            try:
                self._api.create_tag(self.name, tag=name, revision=commit, repo_type=self.kind)
            except HfHubHTTPError as error:
                if error.response.status_code != 409:
                    raise
                refs = self._api.list_repo_refs(self.name, repo_type=self.kind)
                if any(ref.name == name and ref.target_commit == commit for ref in refs.tags):
                    return
                fail(
                    "tag-taken",
                    f"`{self.name}` has a tag `{name}` at another commit",
                    hint="choose another --tag",
                    exit_code=1,
                )

    @contextmanager
    def _calling(self) -> Iterator[None]:
        with in_words(self.name, self.endpoint):
            yield


def _addition(content: Content) -> Any:
    from huggingface_hub import CommitOperationAdd

    made = CommitOperationAdd(content.name, content.data if isinstance(content.data, bytes) else content.data.path)
    made.upload_info.sha256 = bytes.fromhex(content.sha256)  # so that it is not computed again
    return made


def _hash_of(entry: Any) -> str:
    return str(entry.lfs.sha256 if entry.lfs is not None else entry.blob_id)


def _library() -> Any:
    """huggingface_hub, told to keep quiet: no bars, no advice, no question."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub
        import huggingface_hub.hf_api  # sets the level of the log when it is imported
    except ImportError:
        fail(
            "missing-package", "publishing needs huggingface_hub", hint="pip install 'dreammake-llm[hub]'", exit_code=1
        )
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return huggingface_hub
