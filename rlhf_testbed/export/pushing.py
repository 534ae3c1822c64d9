"""Pushing to the Hugging Face Hub, by its own client: repositories are made, files committed.

    push([Repo("model", {...})], "alice/corridor", private=True)

The token is that of the environment (`HF_TOKEN`) or of `hf auth login`. Started again, it goes on:
what is there already is not sent again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id

from rlhf_testbed.export.hub import Kind, Repo
from rlhf_testbed.shared.errors import UsageError

AT_ONCE = 500
"""Files of a commit: the Hub's server gives up on one of many thousands."""
# huggingface_hub carries another client from version to version: the class of all its errors.
CLIENT_ERROR: Any = next(c for c in HfHubHTTPError.__mro__ if c.__name__ == "HTTPError")
GOES_ON = "the same command goes on where it was"
SAID = {
    401: "it does not accept the token (right: one that may write, by `hf auth login` or HF_TOKEN)",
    403: "it is not yours to write to, or the token may only read",
    404: "there is no such place, or the token may not see it",
    429: f"too much was asked of it in a short time; later {GOES_ON}",
}


def refuse_odd_name(name: str) -> None:
    """Raises `UsageError` for what can't be the name of a repository."""
    if name.count("/") != 1:
        raise UsageError(f"command line: REPO = {name} is no NAMESPACE/NAME, like alice/corridor")
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UsageError(f"command line: REPO = {name}: {' '.join(str(error).split())}") from None


def push(
    repos: Sequence[Repo],
    name: str,
    private: bool,
    watcher: Callable[[Repo, str], None] = lambda repo, url: None,
) -> None:
    """Pushes each repository; `watcher` is told of one that is done, with its address.

    Raises `UsageError` without a token, and for whatever the Hub refuses.
    """
    refuse_odd_name(name)
    token = get_token()
    if not token:
        raise UsageError("no token for the Hugging Face Hub (right: `hf auth login`, or HF_TOKEN)")
    api = HfApi(token=token)
    for repo in repos:
        with _told(f"{api.endpoint}: {repo.kind} {name}"):
            url = api.create_repo(
                name,
                repo_type=repo.kind,
                private=private,
                exist_ok=True,
                space_sdk="static" if repo.kind == "space" else None,
            )
            _refuse_other_visibility(api, repo.kind, name, private)
            operations = list(_operations(api, repo, name))
            for start in range(0, len(operations), AT_ONCE):
                api.create_commit(
                    name,
                    operations[start : start + AT_ONCE],
                    commit_message="rlhf-testbed push",
                    repo_type=repo.kind,
                )
        watcher(repo, str(url))


def _refuse_other_visibility(api: HfApi, kind: Kind, name: str, private: bool) -> None:
    """A repository that was there keeps its own: nothing private goes to a public one."""
    if bool(api.repo_info(name, repo_type=kind).private) != private:
        now, right = ("public", "--public") if private else ("private", "--private")
        raise UsageError(f"is there already and {now} (right: {right}, or another name)")


def _operations(
    api: HfApi, repo: Repo, name: str
) -> Iterator[CommitOperationAdd | CommitOperationDelete]:
    """Files to add, and those of an earlier push that these take the place of."""
    for path, item in repo.items.items():
        content = item.content
        yield CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
    if repo.replaces:
        for path in api.list_repo_files(name, repo_type=repo.kind):
            if path.startswith(repo.replaces) and path not in repo.items:
                yield CommitOperationDelete(path)


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turns what the Hub refuses, or that it can't be reached, into one line."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    except Exception as error:
        said = next(filter(None, map(_said, _chain(error))), "")
        if not said:
            raise
        raise UsageError(f"{where}: {said}") from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _said(error: BaseException) -> str:
    """What is wrong, in words; empty for what is no fault of Hub, network or token."""
    told = " ".join(str(error).split())
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so that nothing may leave this machine"
    if status := _status(error):
        if status >= 500:
            return f"it has failed (status {status}); later {GOES_ON}"
        told = getattr(error, "server_message", None) or told
        return SAID.get(status, f"it refuses (status {status}): {' '.join(told.split())}")
    if isinstance(error, CLIENT_ERROR | ConnectionError | TimeoutError):
        return f"it can't be reached ({told}); {GOES_ON}"
    return told if isinstance(error, ValueError) and "README.md" in told else ""


def _status(error: BaseException) -> int:
    """The Hub's answer; that of hf_xet, which sends large files, stands in a text. Else 0."""
    if isinstance(error, HfHubHTTPError):
        return int(error.response.status_code)
    if isinstance(error, PermissionError) and error.errno is None:
        return 403
    found = re.search(r"status \w+ error \((\d{3})\b", str(error))
    return int(found[1]) if found and isinstance(error, ConnectionError) else 0
