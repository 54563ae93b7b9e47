"""What goes wrong with the Hub, each in one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from dreammake.core.diagnostic import fail, first_line

LOGIN = "set HF_TOKEN to a token that may write, or run `hf auth login`"
AGAIN = "run the same command again: what was sent is not sent twice"


@contextmanager
def in_words(repo: str, endpoint: str) -> Iterator[None]:
    """Turns what huggingface_hub raises into a DreamError."""
    import httpx
    from huggingface_hub import errors

    try:
        yield
    except errors.OfflineModeIsEnabled:
        offline(endpoint)
    except errors.HFValidationError as error:
        _bad_name(repo, error)
    except (errors.HfHubHTTPError, httpx.TransportError, ConnectionError, TimeoutError) as error:
        _of_request(repo, endpoint, error)
    except (RuntimeError, errors.LocalEntryNotFoundError) as error:
        # The upload of a large file, and a download, wrap what went wrong.
        _of_request(repo, endpoint, error.__cause__)
        raise


def _of_request(repo: str, endpoint: str, error: BaseException | None) -> None:
    import httpx
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        _of_status(repo, error)
    if isinstance(error, httpx.TransportError | ConnectionError | TimeoutError):
        _unreachable(endpoint, error)


def offline(endpoint: str) -> NoReturn:
    fail(
        "hub-offline",
        f"HF_HUB_OFFLINE is set, so nothing can be sent to {endpoint}",
        hint="unset HF_HUB_OFFLINE, or look at what would be sent: --dry-run",
        exit_code=1,
    )


def no_token() -> NoReturn:
    fail("no-hub-token", "there is no token for the Hub", hint=LOGIN, exit_code=1)


def _bad_name(repo: str, error: Exception) -> NoReturn:
    why = first_line(error)
    fail("bad-repo-name", f"`{repo}` is no name of a repository: {why}", hint="write it as org/name: --to me/tweets")


def _unreachable(endpoint: str, error: BaseException) -> NoReturn:
    fail(
        "hub-unreachable",
        f"the connection to {endpoint} failed: {first_line(error)}",
        hint=f"check the network, and HF_ENDPOINT where it is set; then {AGAIN}",
        exit_code=1,
    )


def _of_status(repo: str, error: Any) -> NoReturn:
    status = error.response.status_code
    said = _said(error)
    match status:
        case 401:
            fail("bad-hub-token", f"the Hub does not take the token{said}", hint=LOGIN, exit_code=1)
        case 402 | 403:
            hint = f"take a token with the right to write to `{repo.split('/')[0]}`, or another name with --to"
            fail("no-hub-right", f"the token may not write to `{repo}`{said}", hint=hint, exit_code=1)
        case 404:
            hint = "check the name, the revision, and what the token may see"
            fail("no-such-repo", f"the Hub has no `{repo}`, or does not show it{said}", hint=hint, exit_code=1)
        case 409:
            fail("name-taken", f"the name `{repo}` is taken{said}", hint="choose another one with --to", exit_code=1)
        case 412:
            message = f"somebody else changed `{repo}` at the same time, so nothing was committed"
            fail("hub-changed", message, hint=AGAIN, exit_code=1)
        case 429:
            fail("hub-busy", f"the Hub takes no more requests for now{said}", hint=f"wait, then {AGAIN}", exit_code=1)
    if status >= 500:
        fail("hub-failed", f"the Hub failed with status {status}{said}", hint=f"wait, then {AGAIN}", exit_code=1)
    fail("hub-refused", f"the Hub refused the request with status {status}{said}", exit_code=1)


def _said(error: Any) -> str:
    """The server's own words, in one line."""
    words = error.server_message or error.response.headers.get("X-Error-Message") or ""
    line = " ".join(words.split())
    return f": {line[:200]}" if line else ""
