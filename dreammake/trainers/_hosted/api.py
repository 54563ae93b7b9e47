"""OpenAI's REST interface for fine-tuning, as far as `train openai` needs it: files, jobs and their events."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

from dreammake.core.diagnostic import fail

T = TypeVar("T")

OPENAI = "https://api.openai.com/v1"
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""HTTP answers that may be others a moment later."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
_PIECE = 1 << 20
_PAGE = 100


class Refused(Exception):
    """The endpoint said no: the HTTP status, and its sentence. `passing`: it may say yes a moment later."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.said = said
        self.passing = status in _PASSING and "insufficient_quota" not in said


class FineTuningAPI:
    """Asks one endpoint. What fails for a passing reason is tried again for `patience` seconds, later each time.

    `timeout` is in seconds. Raises DreamError (exit code 1) for what trying again does not mend, but `Refused` where
    the caller can tell more (a model or job that is not there, a request that is wrong).
    """

    def __init__(
        self, base_url: str, key: str | None, timeout: float, patience: float, say: Callable[[str], None]
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._patience = patience
        self._say = say
        self._opener = _opener(self.base_url)

    def uploaded(self, name: str) -> str | None:
        """The id of a file of that name that was uploaded for fine-tuning; None where there is none."""
        named = [file for file in self._listed("files", purpose="fine-tune") if file.get("filename") == name]
        return next((str(file["id"]) for file in named if file.get("status") not in ("error", "deleted")), None)

    def upload(self, file: Path, name: str) -> str:
        """The id of a file that is there already under this name, or is put there now."""
        return self._patiently(lambda: self.uploaded(name) or str(self._post_file(file, name)["id"]))

    def create(self, body: Mapping[str, Any], tag: str) -> str:
        """The id of the job that has this tag in its metadata, or is begun now: never two of one tag."""
        tagged = {**body, "metadata": {"dreammake": tag}}
        return self._patiently(lambda: self._tagged(tag) or str(self._post("fine_tuning/jobs", tagged)["id"]))

    def job(self, id: str) -> dict[str, Any]:
        """The job as it stands."""
        return self._patiently(lambda: self._get(f"fine_tuning/jobs/{id}"))

    def events(self, id: str, after: str | None) -> list[dict[str, Any]]:
        """What happened to a job since the event of an id, or from its beginning: oldest first."""
        return self._patiently(lambda: list(self._events(id, after)))[::-1]

    def _events(self, id: str, after: str | None) -> Iterator[dict[str, Any]]:
        """Newest first, as the endpoint gives them."""
        page: dict[str, Any] = {"limit": _PAGE}
        while True:
            listed = self._get(f"fine_tuning/jobs/{id}/events", **page)
            events = listed.get("data") or []
            for event in events:
                if event.get("id") == after:
                    return
                yield event
            if not (events and listed.get("has_more")):
                return
            page["after"] = events[-1]["id"]

    def _tagged(self, tag: str) -> str | None:
        jobs = self._listed("fine_tuning/jobs", limit=_PAGE)
        return next((str(job["id"]) for job in jobs if (job.get("metadata") or {}).get("dreammake") == tag), None)

    def _listed(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """What is there; nothing where the endpoint has no such list."""
        try:
            return self._get(path, **query).get("data") or []
        except Refused as refused:
            if refused.passing:
                raise
            return []

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        return self._ask(Request(f"{self.base_url}/{path}" + (f"?{urlencode(query)}" if query else "")))

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return self._ask(Request(f"{self.base_url}/{path}", data, {"Content-Type": "application/json"}))

    def _post_file(self, file: Path, name: str) -> dict[str, Any]:
        """The file goes out piece by piece, as it may be large."""
        boundary = f"dreammake-{random.getrandbits(64):016x}"
        part = f"--{boundary}\r\nContent-Disposition: form-data; name="
        head = f'{part}"purpose"\r\n\r\nfine-tune\r\n{part}"file"; filename="{name}"\r\n'
        begin, end = f"{head}Content-Type: application/jsonl\r\n\r\n".encode(), f"\r\n--{boundary}--\r\n".encode()

        def body() -> Iterator[bytes]:
            yield begin
            with file.open("rb") as content:
                while piece := content.read(_PIECE):
                    yield piece
            yield end

        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(begin) + file.stat().st_size + len(end)),
        }
        return self._ask(Request(f"{self.base_url}/files", body(), headers))

    def _ask(self, request: Request) -> dict[str, Any]:
        request.add_header("User-Agent", "dreammake")
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                found = json.loads(response.read())
        except HTTPError as error:
            raise Refused(error.code, sentence_of(error.read())) from None
        except HTTPException as error:
            raise ConnectionError(f"the connection was lost: {type(error).__name__}") from None
        except ValueError:
            raise Refused(502, "its answer is no JSON") from None
        return found if isinstance(found, dict) else {}

    def _patiently(self, ask: Callable[[], T]) -> T:
        until, tries = time.monotonic() + self._patience, 0
        while True:
            try:
                return ask()
            except (Refused, OSError) as error:
                if isinstance(error, Refused) and not error.passing:
                    self._check(error)
                    raise
                if time.monotonic() > until:
                    self._give_up(error)
                if not tries:
                    self._say(f"{self.base_url} does not answer ({_why(error)}): trying again")
            time.sleep(min(_FIRST_PAUSE * 2.0**tries, _LONGEST_PAUSE))
            tries += 1

    def _check(self, error: Refused) -> None:
        """Raises DreamError for a refusal that any request would get."""
        said = f"({error.status}: {error.said})"
        match error.status:
            case 401 | 403:
                hint = "set OPENAI_API_KEY, or the option `api_key`, to a key that may fine-tune there"
                fail("bad-api-key", f"{self.base_url} refuses the key {said}", hint=hint, exit_code=1)
            case 402 | 429:
                hint = "the account has no credit left; files and job are kept, so the next build goes on"
                fail("out-of-quota", f"{self.base_url} answers no more {said}", hint=hint, exit_code=1)

    def _give_up(self, error: Refused | OSError) -> None:
        if isinstance(error, Refused):
            hint = "run the same command again later: files and job are kept"
            code = "rate-limited" if error.status == 429 else "server-error"
            fail(code, f"{self.base_url} failed for too long ({error.status}: {error.said})", hint=hint, exit_code=1)
        hint = "check `base_url` and the network, and run the same command again: files and job are kept"
        fail("endpoint-unreachable", f"nothing answers at {self.base_url}: {_why(error)}", hint=hint, exit_code=1)


def endpoint_of(base_url: str | None, api_key: str | None) -> tuple[str, str | None]:
    """The address and the key, from the options or else the environment. Raises DreamError `missing-api-key`."""
    base = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
    key = api_key or os.environ.get("OPENAI_API_KEY")
    if not key and base.rstrip("/") == OPENAI:
        fail(
            "missing-api-key",
            "`train openai` trains at OpenAI, and there is no key for it",
            hint="set OPENAI_API_KEY, or give the option `api_key`",
            exit_code=1,
        )
    return base, key


def sentence_of(content: bytes) -> str:
    """What a server says in an error, in one line of at most 300 characters."""
    text = content.decode("utf-8", "replace")
    try:
        found = json.loads(text)
        error = found.get("error", found) if isinstance(found, dict) else found
        text = str(error.get("message") or error.get("detail") or error) if isinstance(error, dict) else str(error)
        if isinstance(error, dict) and error.get("code") == "insufficient_quota":
            text = f"insufficient_quota: {text}"
    except ValueError:
        pass
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:299] + "…"


def _opener(base_url: str) -> OpenerDirector:
    """Through the environment's proxy, which never stands before this machine itself."""
    here = urlsplit(base_url).hostname in ("localhost", "127.0.0.1", "::1")
    return build_opener(ProxyHandler({})) if here else build_opener()


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(getattr(reason, "strerror", None) or reason) or type(error).__name__
