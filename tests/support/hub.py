"""A Hugging Face Hub on loopback: what tests publish to, and read back from with the real libraries.

    with LoopbackHub() as hub:
        ...                                 # a command with hub.environment
        hub.repo("datasets/me/tweets").files()["README.md"]
        hub.calls                           # ("POST", "/api/repos/create"), ... in the order in which they came

It keeps repositories with branches, tags, pull requests and one tree of files a commit; large files go by LFS. TOKEN is
that of the user `me`, who may also write to `team`. `trouble(method, path, number)` may give a `Trouble` for the
number-th request (from 0). Requests that `holds(method, path)` names wait for `release()`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.server import Trouble

TOKEN = "hf_of_me_12345678"
READ_ONLY = "hf_reads_only_12345678"
MAY_WRITE_TO = ("me", "team")
LARGE = (".parquet", ".safetensors", ".bin", ".gguf", ".arrow", ".pt")


@dataclass
class Commit:
    sha: str
    parent: str | None
    title: str
    files: dict[str, bytes]
    large: frozenset[str] = frozenset()
    """Names of the files that came by LFS."""


@dataclass
class Repo:
    name: str
    kind: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> Commit | None:
        sha = self.branches.get(revision) or self.tags.get(revision) or self.pulls.get(revision) or revision
        return self.commits.get(sha)

    def add(self, parent: Commit | None, title: str, files: dict[str, bytes], large: frozenset[str]) -> Commit:
        told = [parent.sha if parent else "", title, len(self.commits), {n: git_hash(b) for n, b in files.items()}]
        sha = hashlib.sha1(json.dumps(told, sort_keys=True).encode()).hexdigest()
        made = self.commits[sha] = Commit(sha, parent.sha if parent else None, title, files, large)
        return made

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """The files of a revision by name."""
        commit = self.at(revision)
        assert commit is not None, f"{self.name} has no {revision}"
        return commit.files

    def history(self, revision: str = "main") -> list[str]:
        """The titles of its commits, newest first; the first one of all is the Hub's own."""
        titles, commit = [], self.at(revision)
        while commit is not None:
            titles.append(commit.title)
            commit = self.commits.get(commit.parent or "")
        return titles

    def put(self, name: str, data: bytes) -> None:
        """Somebody changes a file on the Hub by hand."""
        head = self.at("main")
        assert head is not None
        self.branches["main"] = self.add(head, f"Update {name}", {**head.files, name: data}, head.large).sha


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class LoopbackHub:
    """Starts in a thread when entered, and ends with the `with` block."""

    def __init__(self, trouble: Callable[[str, str, int], Trouble | None] = lambda method, path, number: None) -> None:
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        self.trouble = trouble
        self.holds: Callable[[str, str], bool] = lambda method, path: False
        self.url = ""
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to take it for the Hub."""
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

    def repo(self, path: str) -> Repo:
        """A repository by the path of its page: `me/model`, `datasets/me/tweets`."""
        return self.repos[path]

    def create(self, path: str, **files: str) -> Repo:
        """Make a repository by hand, with files."""
        kind = "dataset" if path.startswith("datasets/") else "model"
        repo = self.repos[path] = Repo(path.removeprefix("datasets/"), kind)
        first = {".gitattributes": b"*.parquet filter=lfs\n"} | {name: text.encode() for name, text in files.items()}
        repo.branches["main"] = repo.add(None, "initial commit", first, frozenset()).sha
        return repo

    def upload(self, path: str, folder: Path) -> Repo:
        """Make a repository of a folder's files."""
        repo = self.create(path)
        files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        large = frozenset(name for name in files if name.endswith(LARGE))
        repo.branches["main"] = repo.add(repo.at("main"), "upload", files, large).sha
        return repo

    def count(self, method: str, part: str) -> int:
        """How many requests of a method had this in their path."""
        return sum(method == one and part in path for one, path in self.calls)

    def wait_for(self, method: str, part: str) -> None:
        """Wait until such a request has come (at most 60 s)."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.count(method, part), 60), f"no {method} {part} came"

    def release(self) -> None:
        """Answer what is held, and all that follows."""
        self.holds = lambda method, path: False
        self._loop.call_soon_threadsafe(self._released.set)

    def __enter__(self) -> LoopbackHub:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> str:
        from aiohttp import web

        self._released = asyncio.Event()
        app = web.Application(client_max_size=2**34, middlewares=[self._middleware()])
        add = app.router.add_route
        add("GET", "/api/whoami-v2", self._whoami)
        add("POST", "/api/repos/create", self._create)
        add("POST", "/api/validate-yaml", self._validate_yaml)
        api = r"/api/{kind:models|datasets}/{org}/{name}"
        add("GET", api, self._info)
        add("GET", api + "/revision/{revision}", self._info)
        add("GET", api + "/refs", self._refs)
        add("GET", api + r"/tree/{revision}{path:(/.*)?}", self._tree)
        add("POST", api + "/paths-info/{revision}", self._paths_info)
        add("POST", api + "/preupload/{revision}", self._preupload)
        add("POST", api + "/commit/{revision}", self._commit)
        add("POST", api + "/branch/{branch}", self._branch)
        add("POST", api + "/tag/{revision}", self._tag)
        add("POST", r"/{prefix:(datasets/)?}{org}/{name}.git/info/lfs/objects/batch", self._batch)
        add("PUT", "/lfs/{oid}", self._put)
        add("POST", "/lfs/verify", self._verify)
        add("*", r"/{prefix:(datasets/)?}{org}/{name}/resolve/{revision}/{path:.+}", self._resolve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _stop(self) -> None:
        self._released.set()
        await self._runner.cleanup()

    def _middleware(self) -> Any:
        from aiohttp import web

        @web.middleware
        async def middleware(request: Any, handler: Any) -> Any:
            with self._changed:
                number = len(self.calls)
                self.calls.append((request.method, request.path))
                self._changed.notify_all()
            if self.holds(request.method, request.path):
                await self._released.wait()
            trouble = self.trouble(request.method, request.path, number)
            if trouble is not None and trouble.reset:
                request.transport.abort()
                return web.Response()
            if trouble is not None:
                return _refusal(trouble.status, trouble.message, headers=trouble.headers)
            return await handler(request)

        return middleware

    # Who asks, and for what

    def _may_write(self, request: Any, org: str | None = None) -> Any:
        """A refusal, or None: a token that is not known, or that may not write there."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (TOKEN, READ_ONLY):
            return _refusal(401, "Invalid credentials in Authorization header")
        may = org is None or org in MAY_WRITE_TO or request.query.get("create_pr") == "1"
        if token == READ_ONLY or not may:
            return _refusal(403, f"You don't have the rights to create or write in the namespace {org}")
        return None

    def _find(self, request: Any) -> Repo | None:
        match = request.match_info
        prefix = "datasets/" if match.get("kind") == "datasets" or match.get("prefix") else ""
        repo = self.repos.get(f"{prefix}{match['org']}/{match['name']}")
        if repo is not None and repo.private and not request.headers.get("Authorization", "").endswith(TOKEN):
            return None
        return repo

    def _found(self, request: Any) -> tuple[Repo, Commit] | Any:
        """The repository and the commit that a request means, or a refusal."""
        repo = self._find(request)
        if repo is None:
            return _refusal(404, "Repository not found", "RepoNotFound")
        commit = repo.at(request.match_info.get("revision", "main"))
        return _refusal(404, "Invalid rev id", "RevisionNotFound") if commit is None else (repo, commit)

    # Accounts and repositories

    async def _whoami(self, request: Any) -> Any:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (TOKEN, READ_ONLY):
            return _refusal(401, "Invalid username or password.")
        return _answer({"type": "user", "name": "me", "orgs": [{"name": "team"}], "auth": {}})

    async def _create(self, request: Any) -> Any:
        asked = await request.json()
        org = asked.get("organization") or "me"
        if (refusal := self._may_write(request, org)) is not None:
            return refusal
        path = f"{'datasets/' if asked.get('type') == 'dataset' else ''}{org}/{asked['name']}"
        if path in self.repos:
            return _answer({"error": "You already created this repo", "url": f"{self.url}/{path}"}, 409)
        self.create(path).private = asked.get("visibility") == "private" or bool(asked.get("private"))
        return _answer({"url": f"{self.url}/{path}"})

    async def _validate_yaml(self, request: Any) -> Any:
        import yaml

        text = (await request.json())["content"]
        try:
            yaml.safe_load(text.split("---")[1])
        except (IndexError, yaml.YAMLError) as error:
            return _answer({"errors": [{"message": str(error)}], "warnings": []}, 400)
        return _answer({"errors": [], "warnings": []})

    async def _info(self, request: Any) -> Any:
        found = self._found(request)
        if not isinstance(found, tuple):
            return found
        repo, commit = found
        return _answer(
            {
                "id": repo.name,
                "author": repo.name.split("/")[0],
                "sha": commit.sha,
                "private": repo.private,
                "gated": False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "lastModified": "2026-01-01T00:00:00.000Z",
                "createdAt": "2026-01-01T00:00:00.000Z",
                "siblings": [{"rfilename": name} for name in sorted(commit.files)],
            }
        )

    async def _refs(self, request: Any) -> Any:
        repo = self._find(request)
        if repo is None:
            return _refusal(404, "Repository not found", "RepoNotFound")
        named = {"branches": ("refs/heads/", repo.branches), "tags": ("refs/tags/", repo.tags)}
        return _answer(
            {
                what: [{"name": n, "ref": f"{start}{n}", "targetCommit": sha} for n, sha in refs.items()]
                for what, (start, refs) in named.items()
            }
            | {"converts": []}
        )

    async def _branch(self, request: Any) -> Any:
        repo, branch = self._find(request), request.match_info["branch"]
        if repo is None:
            return _refusal(404, "Repository not found", "RepoNotFound")
        if branch in repo.branches:
            return _refusal(409, "Reference already exists")
        repo.branches[branch] = repo.branches["main"]
        return _answer({})

    async def _tag(self, request: Any) -> Any:
        found = self._found(request)
        if not isinstance(found, tuple):
            return found
        name = (await request.json())["tag"]
        if name in found[0].tags:
            return _refusal(409, "Tag reference exists already")
        found[0].tags[name] = found[1].sha
        return _answer({})

    # Files

    async def _tree(self, request: Any) -> Any:
        found = self._found(request)
        if not isinstance(found, tuple):
            return found
        below = request.match_info["path"].strip("/")
        start = f"{below}/" if below else ""
        names = sorted(name for name in found[1].files if name.startswith(start))
        if not names:
            return _refusal(404, "Entry not found", "EntryNotFound")
        told: dict[str, Any] = {}
        for name in names:
            parts = name[len(start) :].split("/")
            for depth in range(1, len(parts)):
                folder = start + "/".join(parts[:depth])
                told.setdefault(folder, {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0})
            told[name] = _entry(found[1], name)
        if request.query.get("recursive", "false").lower() != "true":
            told = {name: entry for name, entry in told.items() if "/" not in name[len(start) :]}
        return _answer(list(told.values()))

    async def _paths_info(self, request: Any) -> Any:
        found = self._found(request)
        if not isinstance(found, tuple):
            return found
        asked = (await request.post()).getall("paths", []) if request.content_type != "application/json" else []
        asked = asked or (await request.json())["paths"]
        files = found[1].files
        told = [_entry(found[1], name) for name in asked if name in files]
        for name in asked:
            if name not in files and any(file.startswith(f"{name}/") for file in files):
                told.append({"type": "directory", "path": name, "oid": "0" * 40, "size": 0})
        return _answer(told)

    async def _preupload(self, request: Any) -> Any:
        if (refusal := self._may_write(request, request.match_info["org"])) is not None:
            return refusal
        found = self._found(request)
        if not isinstance(found, tuple):
            return found
        told = []
        for file in (await request.json())["files"]:
            name = file["path"]
            large = name.endswith(LARGE) or file["size"] > 10_000_000 or b"\0" in base64.b64decode(file["sample"])
            answer = {"path": name, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            if name in found[1].files:
                entry = _entry(found[1], name)
                answer["oid"] = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
            told.append(answer)
        return _answer({"files": told})

    async def _batch(self, request: Any) -> Any:
        if (refusal := self._may_write(request)) is not None:
            return refusal
        objects = []
        for one in (await request.json())["objects"]:
            told = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.large:
                verify = {"href": f"{self.url}/lfs/verify"}
                told["actions"] = {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}, "verify": verify}
            objects.append(told)
        return _answer({"transfer": "basic", "objects": objects})

    async def _put(self, request: Any) -> Any:
        data, oid = await request.read(), request.match_info["oid"]
        if hashlib.sha256(data).hexdigest() != oid:
            return _refusal(400, "the bytes have another hash")
        self.large[oid] = data
        return _answer({})

    async def _verify(self, request: Any) -> Any:
        asked = await request.json()
        there = self.large.get(asked["oid"])
        return _answer({}) if there is not None and len(there) == asked["size"] else _refusal(404, "not uploaded")

    async def _commit(self, request: Any) -> Any:
        if (refusal := self._may_write(request, request.match_info["org"])) is not None:
            return refusal
        found = self._found(request)
        if not isinstance(found, tuple):
            return found
        (repo, head), lines = found, [json.loads(line) for line in (await request.text()).splitlines() if line]
        header = lines[0]["value"]
        if header.get("parentCommit", head.sha) != head.sha:
            return _refusal(412, "A commit has happened since. Please refresh and try again.")
        files, large = dict(head.files), set(head.large)
        for line in lines[1:]:
            value = line["value"]
            match line["key"]:
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                    large.discard(value["path"])
                case "lfsFile":
                    if value["oid"] not in self.large:
                        return _refusal(400, f"LFS object {value['oid']} is not there")
                    files[value["path"]] = self.large[value["oid"]]
                    large.add(value["path"])
                case "deletedFile":
                    if files.pop(value["path"], None) is None:
                        return _refusal(404, "A file with this name doesn't exist", "EntryNotFound")
        commit = repo.add(head, header["summary"], files, frozenset(large))
        told = {"success": True, "commitOid": commit.sha, "commitUrl": f"{self.url}/{repo.name}/commit/{commit.sha}"}
        if request.query.get("create_pr") == "1":
            number = len(repo.pulls) + 1
            repo.pulls[f"refs/pr/{number}"] = commit.sha
            told["pullRequestUrl"] = f"{self.url}/{repo.name}/discussions/{number}"
        else:
            repo.branches[request.match_info["revision"]] = commit.sha
        return _answer(told)

    async def _resolve(self, request: Any) -> Any:
        from aiohttp import web

        found = self._found(request)
        if not isinstance(found, tuple):
            return found
        name = request.match_info["path"]
        data = found[1].files.get(name)
        if data is None:
            return _refusal(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": found[1].sha})
        etag = hashlib.sha256(data).hexdigest() if name in found[1].large else git_hash(data)
        headers = {"X-Repo-Commit": found[1].sha, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if name in found[1].large:
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))}
        wanted, status = data, 200
        if (asked := request.headers.get("Range", "")).startswith("bytes="):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first or 0), min(int(last or len(data) - 1), len(data) - 1)
            wanted, status = data[start : end + 1], 206
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        if request.method == "HEAD":
            return web.Response(status=status, headers={**headers, "Content-Length": str(len(wanted))})
        return web.Response(body=wanted, status=status, headers=headers)


def _entry(commit: Commit, name: str) -> dict[str, Any]:
    data = commit.files[name]
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": git_hash(data)}
    if name in commit.large:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


def _answer(value: Any, status: int = 200) -> Any:
    from aiohttp import web

    return web.json_response(value, status=status)


def _refusal(status: int, message: str, code: str = "", headers: Any = None) -> Any:
    from aiohttp import web

    told = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}
    return web.json_response({"error": message}, status=status, headers=told)
