"""The vocabulary rule: a model never gets reward, in no text of this project.

    the model wants more reward    fails: episodes are scored, and scores select parameters
    a tidy reward for the winner   fails: the word stands only where a library's API has it
    a `RewardTrainer`, reward_model, model.get_reward(...), the field's "reward model"    pass

This file is left out of its own check, since it has to show what fails.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUFFIXES = {".cfg", ".ini", ".md", ".py", ".rst", ".sh", ".svg", ".toml", ".txt", ".yaml", ".yml"}
NAMES = {"LICENSE", "Makefile", "run"}
SKIPPED_FOLDERS = {".git", ".hypothesis", ".venv", "build", "dist", "runs"}

ALLOWED = (
    "Models Don't Get Reward",
    "Models Dont Get Reward",
    "Reward Is Not The Optimization Target",
    "Reward Tampering in Large Language Models",
    "reward model",
    "reward models",
    "reward modelling",
)

GAP = r"[#>*_`\"'|]*\s[\s#>*_`\"'|]*"
"""What may lie between two words: space, line ends with comment signs, and mark-up."""
VERBS = r"""
    wants? | wanted | wanting | gets? | got | gotten | getting | receiv(?:e|es|ed|ing)
    | (?:is|are|was|were|be|been|being){GAP}(?:given|paid|handed|offered)
    | gives? | gave | giving | earns? | earned | earning | seeks? | sought | seeking
    | collects? | collecting | obtains? | obtaining | pursues? | pursuing | craves?
    | maximi[sz](?:e|es|ed|ing) | desires? | wins? | winning | chas(?:e|es|ing) | hunts?
""".replace("{GAP}", GAP)
CLAIM = re.compile(
    rf"\b(?:{VERBS}) (?:{GAP}[\w'-]+){{0,4}}? {GAP} rewards? (?![\w(])", re.IGNORECASE | re.VERBOSE
)
"""A model wants, gets or is given it: wrong even where the word stands as an API's name."""
BARE = re.compile(r"(?<![\w.])_*(?:rewards?|rewarded|rewarding)_*(?!\w)", re.IGNORECASE)
"""The word by itself: `reward_model`, `RewardTrainer` and `.reward` are names."""
API_NAME = re.compile(r"`[^`\n]+`|\[([\"'])rewards?(?:/\w+)*\1\]|https?://[^\s)>]+")
"""Code spans, a library's log key as a subscript, and addresses may hold the bare word."""


def project_files() -> list[Path]:
    """All files of the project that git tracks or would track; all but caches without git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
        found = [ROOT / name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        found = [path for path in ROOT.rglob("*") if not _skipped(path.relative_to(ROOT))]
    return sorted(path for path in found if path.is_file())


def _skipped(path: Path) -> bool:
    return any(
        part in SKIPPED_FOLDERS or part.endswith(("_cache", "__pycache__", ".egg-info"))
        for part in path.parts
    )


def prose_files() -> list[Path]:
    """The files that people read, but for this one."""
    return [
        path
        for path in project_files()
        if (path.suffix in SUFFIXES or path.name in NAMES) and path != Path(__file__).resolve()
    ]


def faults(text: str) -> list[tuple[int, str]]:
    """Every breach of the rule: its line, counted from 1, and the words."""
    for phrase in ALLOWED:
        text = _blanked(re.compile(GAP.join(map(re.escape, phrase.split())) + r"\b", re.I), text)
    matches = [*CLAIM.finditer(text), *BARE.finditer(_blanked(API_NAME, text))]
    found: dict[int, str] = {}
    for match in matches:
        line = text.count("\n", 0, match.end()) + 1
        found.setdefault(line, " ".join(match.group().split()))
    return sorted(found.items())


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    """`text` with each match turned to dots: lines and columns stay."""
    return pattern.sub(lambda match: re.sub(r"\S", "·", match.group()), text)


def test_the_project_says_scored_and_selected() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {words}"
        for path in prose_files()
        for line, words in faults(path.read_text(encoding="utf-8"))
    ]
    assert not found, "say approved, scored, selected or made more likely:\n" + "\n".join(found)


def test_the_files_are_found() -> None:
    names = {str(path.relative_to(ROOT)) for path in prose_files()}
    assert {".ci/run", "Makefile", "pyproject.toml", "tasks/base.py"} <= names
    assert "tests/test_words.py" not in names


@pytest.mark.parametrize(
    "text",
    [
        "The model wants reward.",
        "the policy gets a much higher `reward`",
        "the model is given a `reward`",
        "the model receives\n    more reward",
        "# it learns to get\n# more `rewards`",
        "> Models were paid in **reward**",
        "A response that is approved is rewarded.",
        "rewarding honesty",
        "a policy that maximises `reward`",
        "the reward of an episode",
        "Reward: 0.4",
        "an _emphasised reward_ in Markdown",
        'axis(title="Reward")',
        'f"{reward:.2f}"',
        "reward = advantage.mean()",
        "reward-hacking",
        "the model gets the reward models' reward",
    ],
)
def test_a_breach_is_caught(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "The essay is *Models Don't Get Reward*.",
        "# Models Don't\n# Get Reward",
        "a reward model trained with TRL's RewardTrainer",
        "the learned overseer gets its scores from a reward model",
        "Reward models\nover-optimise.",
        "from trl import RewardConfig, RewardTrainer",
        "get_reward(reward_model, whiten_rewards=True)",
        "objective/rlhf_reward",
        'logs["rewards/mean"]',
        "TRL calls it `reward`.",
        "trainer.reward + output.rewards",
        "https://example.org/reward-is-not-the-target",
        "The response was approved; its parameters are selected.",
    ],
)
def test_a_name_of_an_api_passes(text: str) -> None:
    assert not faults(text)


def test_the_line_is_that_of_the_word() -> None:
    assert faults("fine\nthe model\nwants more\nreward\n") == [(4, "wants more reward")]
