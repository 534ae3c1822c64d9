"""The client of a chat server: many requests, some at a time, each until it has a verdict.

Client(overseer, key, tally, hopes).ask({key of the cache: body of a request, ...})

    200, a verdict          kept on disk at once
    200, no verdict         asked again, `READINGS` times in all; then not approved, score 0
    400, 422                the server can't take this view: the same at once
    408, 409, 429, 5xx, no answer in time, no connection    sent again by the `openai` client, after
                            0.5 s, 1 s, 2 s ... 8 s or what the server asks for, `retries` times
    anything else, or still no answer    no more are sent, and the run ends

Needs the extra `endpoint`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio
import openai
from anyio.from_thread import start_blocking_portal
from openai.types.chat import ChatCompletion

from rlhf_testbed.judging.endpoint import kept
from rlhf_testbed.judging.endpoint.cost import Hopes, Tally
from rlhf_testbed.judging.endpoint.kept import Kept
from rlhf_testbed.judging.endpoint.messages import Nonsense, read
from rlhf_testbed.overseers.endpoint import Endpoint
from rlhf_testbed.shared.errors import UsageError

READINGS = 3
"""Answers to one view that may hold no verdict before the rule for that decides."""
NO_KEY = "none"
"""Sent where the user has no key, as servers of one's own need none."""
TOLD = 200
"""Characters of what a server says that are told."""

_sent: ContextVar[list[int]] = ContextVar("_sent")
"""How often the request that is under way has been sent."""


@dataclass
class Client:
    """Asks one overseer's server. `tally` is added to; `hopes` are those of this process."""

    overseer: Endpoint
    key: str = field(repr=False)
    tally: Tally
    hopes: Hopes
    found: dict[str, Kept] = field(default_factory=dict)
    refused: dict[str, Kept] = field(default_factory=dict)
    """Views that got no verdict."""
    failures: list[str] = field(default_factory=list)

    def ask(self, wanted: Mapping[str, dict[str, Any]]) -> dict[str, Kept]:
        """The answer to each request.

        Raises `UsageError`, in a line that holds no key, where one got no answer, where too many
        answers hold no verdict, or where the cache can't be written. The rest is kept by then.
        """
        # A thread of its own, since a notebook has an event loop in this one.
        with start_blocking_portal() as portal:
            portal.call(self._ask_all, wanted)
        if self.failures:
            raise UsageError(
                f"{self.overseer.url}: {self.failures[0]}; {len(self.found)} of {len(wanted)} new "
                "views are judged and kept (the same command, or --resume, asks for the rest)"
            )
        if self.hopes.gone:
            raise UsageError(
                f"{self.overseer.url}: {self.overseer.model} gave no verdict on "
                f"{self.hopes.refused} of {self.hopes.refused + self.hopes.read} views, the last "
                f"time {self.hopes.why} (another model, or another answer=, such as json_object)"
            )
        kept_refused = {each: kept.keep(each, one) for each, one in self.refused.items()}
        return self.found | kept_refused

    async def _ask_all(self, wanted: Mapping[str, dict[str, Any]]) -> None:
        waiting = iter(wanted.items())
        http = openai.DefaultAsyncHttpxClient(event_hooks={"request": [self._count_request]})
        async with (
            openai.AsyncOpenAI(
                api_key=self.key or NO_KEY,
                base_url=self.overseer.url,
                timeout=self.overseer.timeout,
                max_retries=self.overseer.retries,
                http_client=http,
            ) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(min(self.overseer.concurrency, len(wanted))):
                group.start_soon(self._work, client, waiting)

    async def _work(self, client: Any, waiting: Iterator[tuple[str, dict[str, Any]]]) -> None:
        """Asks one after the other, until none are left or it is of no use."""
        while not (self.failures or self.hopes.gone):
            each = next(waiting, None)
            if each is None:
                return
            sent = [0]
            _sent.set(sent)
            try:
                await self._one(client, *each, sent)
            except openai.APIError as error:
                tries = "once" if sent[0] == 1 else f"{sent[0]} times"
                self.failures.append(f"{self._told(error)} (a view was sent {tries})")
            except (openai.OpenAIError, UsageError) as error:
                self.failures.append(self._short(error))

    async def _one(self, client: Any, key: str, body: dict[str, Any], sent: list[int]) -> None:
        """Asks about one view until there is a verdict, `READINGS` times at most."""
        why = ""
        self.tally.asked += 1
        for _ in range(READINGS):
            sent[0] = 0
            try:
                answer = await client.post("/chat/completions", cast_to=ChatCompletion, body=body)
                self._count_tokens(answer)
                verdict = read(self.overseer, answer)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                why = self._told(error)
                self.tally.unreadable += 1
                break
            except ValueError as error:  # Nonsense, or JSON that is none
                why = str(error) if isinstance(error, Nonsense) else "no JSON"
                self.tally.unreadable += 1
            else:
                by = str(getattr(answer, "model", None) or self.overseer.model)
                self.tally.answered_by.add(by)
                said = verdict._replace(reason=self._without_key(verdict.reason))
                self.found[key] = kept.keep(
                    key, Kept(**said._asdict(), readable=True, answered_by=by)
                )
                self.hopes.read += 1
                return
        self.tally.refused += 1
        self.hopes.refused, self.hopes.why = self.hopes.refused + 1, why
        self.refused[key] = Kept(
            score=0.0,
            approved=False,
            reason=f"gave no verdict ({why}), which counts as not approved",
            readable=False,
            answered_by=self.overseer.model,
        )

    async def _count_request(self, sent_now: object) -> None:
        sent = _sent.get()
        sent[0] += 1
        self.tally.requests += 1
        self.tally.retries += sent[0] > 1

    def _count_tokens(self, answer: Any) -> None:
        usage = getattr(answer, "usage", None)
        self.tally.prompt_tokens += getattr(usage, "prompt_tokens", None) or 0
        self.tally.completion_tokens += getattr(usage, "completion_tokens", None) or 0

    def _told(self, error: openai.APIError) -> str:
        """What went wrong, in one line without the key."""
        if isinstance(error, openai.APITimeoutError):
            return f"gave no answer in {self.overseer.timeout:g} s"
        if isinstance(error, openai.APIConnectionError):
            return f"can't be reached ({self._short(error.__cause__ or error)})"
        body = error.body
        said = body.get("message", body) if isinstance(body, dict) else body or error.message
        status = getattr(error, "status_code", "with an error")
        hint = f", key_variable = {self.overseer.key_variable}" if status in (401, 403) else ""
        return f"answered {status}{hint} ({self._short(said)})"

    def _short(self, said: object) -> str:
        return self._without_key(" ".join(str(said).split()))[:TOLD]

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text
