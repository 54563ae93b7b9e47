"""An OpenAI-style fine-tuning endpoint on loopback, slow on purpose; it answers chat completions, too.

    with FineTuningServer() as server:
        ...                      # train openai: with base_url=server.base_url
        server.uploads           # the bytes of each file that was put there, in order
        server.jobs              # the requests for jobs, in order

A job makes one step each time somebody looks at it, `steps` in all, and then is done; while `held` it makes none. With
`fails`, it fails after its first step. A fine-tuned model answers with its own name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.server import LoopbackServer


class FineTuningServer(LoopbackServer):
    def __init__(
        self,
        steps: int = 3,
        fails: str | None = None,
        refuses: Callable[[str, str, int], int | None] = lambda method, path, number: None,
        **of_server: Any,
    ) -> None:
        super().__init__(**({"answer": lambda body: f"I am {body['model']}"} | of_server))
        self.uploads: list[bytes] = []
        self.jobs: list[dict[str, Any]] = []
        self.looks = 0
        """How often somebody looked at a job."""
        self.held = False
        self.fails = fails
        self.refuses = refuses
        """The status (or None) for the number-th request (from 0) of a method and path; 0 cuts the line after the
        work is done."""
        self._steps = steps
        self._seen: dict[tuple[str, str], int] = {}
        self._files: list[dict[str, Any]] = []
        self._running: list[dict[str, Any]] = []
        self._done: list[int] = []

    @property
    def examples(self) -> list[list[dict[str, Any]]]:
        """The rows of each file that was uploaded."""
        return [[json.loads(line) for line in content.splitlines()] for content in self.uploads]

    def wait_for_looks(self, count: int) -> None:
        """Wait until a job was looked at so often (at most 60 s)."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.looks >= count, 60), f"only {self.looks} looks"

    def _add_routes(self, router: Any) -> None:
        super()._add_routes(router)
        router.add_get("/v1/files", self._route(self._list_files))
        router.add_post("/v1/files", self._route(self._upload))
        router.add_get("/v1/fine_tuning/jobs", self._route(self._list_jobs))
        router.add_post("/v1/fine_tuning/jobs", self._route(self._create))
        router.add_get("/v1/fine_tuning/jobs/{id}", self._route(self._look))
        router.add_get("/v1/fine_tuning/jobs/{id}/events", self._route(self._events))

    def _route(self, handle: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def answer(request: Any) -> Any:
            from aiohttp import web

            self.headers.append(dict(request.headers))
            key = (request.method, request.path)
            number = self._seen[key] = self._seen.get(key, -1) + 1
            status = self.refuses(*key, number)
            if status:
                return web.json_response({"error": {"message": "not now"}}, status=status)
            try:
                document = await handle(request)
            except KeyError as missing:
                return web.json_response({"error": {"message": f"no such thing: {missing}"}}, status=404)
            except ValueError as wrong:
                return web.json_response({"error": {"message": str(wrong)}}, status=400)
            if status == 0:
                request.transport.abort()
            return web.json_response(document)

        return answer

    async def _list_files(self, request: Any) -> Any:
        return {"object": "list", "data": self._files}

    async def _upload(self, request: Any) -> Any:
        form = await request.post()
        assert form["purpose"] == "fine-tune"
        self.uploads.append(form["file"].file.read())
        file = {"id": f"file-{len(self.uploads)}", "filename": form["file"].filename, "status": "processed"}
        self._files.append(file)
        return file

    async def _list_jobs(self, request: Any) -> Any:
        return {"object": "list", "data": list(reversed(self._running)), "has_more": False}

    async def _create(self, request: Any) -> Any:
        body = await request.json()
        known = {file["id"] for file in self._files}
        if not {body["training_file"], body.get("validation_file", body["training_file"])} <= known:
            raise ValueError("invalid training_file")
        if not body["model"].startswith(("gpt-", "ft:")):
            raise KeyError(body["model"])
        self.jobs.append(body)
        job = {**body, "id": f"ftjob-{len(self.jobs)}", "status": "running", "fine_tuned_model": None, "error": None}
        self._running.append(job)
        self._done.append(0)
        return job

    async def _look(self, request: Any) -> Any:
        number = self._number(request)
        with self._changed:
            self.looks += 1
            self._changed.notify_all()
        job = self._running[number]
        if job["status"] == "running" and not self.held:
            self._done[number] += 1
            if self.fails:
                job |= {"status": "failed", "error": {"code": "bad", "message": self.fails}}
            elif self._done[number] == self._steps:
                base = job["model"].split(":")[1] if job["model"].startswith("ft:") else job["model"]
                suffix = job.get("suffix") or ""
                name = f"ft:{base}:me:{suffix}:{number + 1}"
                job |= {"status": "succeeded", "fine_tuned_model": name, "trained_tokens": 123}
        return job

    async def _events(self, request: Any) -> Any:
        """Newest first, at most two a page, so that there are several."""
        number = self._number(request)
        made = [_event(step, self._steps) for step in range(self._done[number] + 1)]
        newest = list(reversed(made))
        after = request.query.get("after")
        if after is not None:
            newest = newest[1 + next(at for at, event in enumerate(newest) if event["id"] == after) :]
        return {"object": "list", "data": newest[:2], "has_more": len(newest) > 2}

    def _number(self, request: Any) -> int:
        ids = [job["id"] for job in self._running]
        if request.match_info["id"] not in ids:
            raise KeyError(request.match_info["id"])
        return ids.index(request.match_info["id"])


def _event(step: int, steps: int) -> Mapping[str, Any]:
    if not step:
        return {"id": "ftevent-0", "type": "message", "message": "Created fine-tuning job", "data": {}}
    data = {"step": step, "total_steps": steps, "train_loss": 2.0 / step, "valid_loss": 3.0 / step}
    return {"id": f"ftevent-{step}", "type": "metrics", "message": f"Step {step}/{steps}", "data": data}
