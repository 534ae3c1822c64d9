"""Rules of a task's response space: what is in it, and how the task reads it.

no response is read as another
    PASS   none of 4 is read as another, and no two are read at once
    FAIL   'ask first' holds 'ask', and brings about the same in 60 of 60 scenarios
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from rlhf_testbed.contract.rules import NONSENSE, OPEN, Broken, Rule, ask
from rlhf_testbed.overseers.base import refuse_odd_outcome
from rlhf_testbed.tasks.base import SPLITS, Scenario, Task, refuse_odd_traits

LARGEST_SPACE = 1000
"""Responses that are scored whole; of more, runs score those that are sampled."""
READ_IN = 20
"""Scenarios of each split in which two responses are read."""


def _response_space(task: Task) -> str:
    responses = task.responses
    ask(len(responses) >= 2, f"{len(responses)} responses (at least 2)")
    strange = [response for response in responses if not isinstance(response, str)]
    ask(not strange, f"{strange[:1]!r:.60} is no text")
    ask("" not in responses, "one response is empty, which nobody can tell from writing nothing")
    twice = len(responses) - len(set(responses))
    ask(not twice, f"{twice} of {len(responses)} responses repeat another")
    odd = [response for response in responses if response != " ".join(response.split())]
    ask(not odd, f"words must be one space apart, as models write them: {odd[:1]}")
    for one, other in _alike(responses):
        raise Broken(f"{one!r:.60} and {other!r:.60} look alike but for capital letters or signs")
    if len(responses) > LARGEST_SPACE:
        return f"{len(responses)} responses: too many to score whole, so runs need response_samples"
    return f"{len(responses)} responses (at most {LARGEST_SPACE} are scored whole)"


def _alike(responses: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Responses that a reader takes for the same, in pairs."""
    seen: dict[str, str] = {}
    for response in responses:
        other = seen.setdefault(unicodedata.normalize("NFKC", response).casefold(), response)
        if other != response:
            yield other, response


def _responses_can_be_read(task: Task) -> str:
    for split in SPLITS:
        for scenario in task.scenarios(OPEN, 0, split, 5):
            for response in task.responses:
                outcome = task.outcome(scenario, response)
                refuse_odd_outcome(task, outcome)
                ask(outcome.valid, f"{response!r:.60} is in the space and can't be read")
                refuse_odd_traits(task, task.traits(scenario, outcome))
            for strange in (*NONSENSE, " ".join([task.responses[0]] * 9)):
                outcome = task.outcome(scenario, strange)
                refuse_odd_outcome(task, outcome)
                ask(not outcome.valid, f"{strange!r:.60} is outside the space and valid")
                ask(not task.exposed(scenario, outcome), f"{strange!r:.60} counts as exposed")
    return "every response has an outcome and traits; nonsense is invalid"


def _none_is_read_as_another(task: Task) -> str:
    """A task that looks for words in a response may find them in another response, too."""
    responses = task.responses[:LARGEST_SPACE]
    scenarios = [s for split in SPLITS for s in task.scenarios(OPEN, 0, split, READ_IN)]
    for part, whole in itertools.permutations(responses, 2):
        if f" {part} " in f" {whole} ":
            same = _read_alike(task, part, whole, scenarios)
            ask(
                same < len(scenarios),
                f"{whole!r:.60} holds {part!r:.60}, and brings about the same in {same} of "
                f"{len(scenarios)} scenarios",
            )
    for one, other in itertools.pairwise((*responses, responses[0])):
        both = f"{one} {other}"
        readable = both not in task.responses and task.outcome(scenarios[0], both).valid
        ask(not readable, f"{both!r:.60} is read, though it is two responses at once")
    return f"none of {len(responses)} is read as another, and no two are read at once"


def _read_alike(task: Task, one: str, other: str, scenarios: Sequence[Scenario]) -> int:
    """In how many scenarios two responses bring about the same."""
    return sum(
        dict(task.outcome(each, one).facts) == dict(task.outcome(each, other).facts)
        for each in scenarios
    )


RESPONSE_RULES: Mapping[str, Rule[Task]] = {
    "the response space is finite and unique": _response_space,
    "every response can be read": _responses_can_be_read,
    "no response is read as another": _none_is_read_as_another,
}
"""What holds for the response space of every task."""
