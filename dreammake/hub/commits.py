"""Asks the Hub which commits its revisions stand for."""

from __future__ import annotations

from collections.abc import Iterable

from dreammake.hub.repository import Kind

WITHIN = 10.0
"""Seconds for one answer."""

Named = tuple[Kind, str, str]
"""A repository with a revision: `("model", "org/name", "main")`."""


def commits_of(wanted: Iterable[Named]) -> dict[Named, str]:
    """The commit of each, as far as the Hub tells: what it does not know is left out, and so is all that is left where
    nobody answers."""
    try:
        import httpx
        from huggingface_hub import HfApi, errors
    except ImportError:
        return {}
    api, found = HfApi(), {}
    for kind, name, revision in wanted:
        try:
            commit = api.repo_info(name, repo_type=kind, revision=revision, timeout=WITHIN).sha
        except (errors.HfHubHTTPError, errors.HFValidationError):
            continue
        except (errors.OfflineModeIsEnabled, httpx.TransportError):
            break
        if commit:
            found[kind, name, revision] = commit
    return found
