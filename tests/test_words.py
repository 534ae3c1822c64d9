"""The vocabulary rule: a model never gets reward, in no text of this project.

    the model wants more reward    fails: episodes are scored, and scores select parameters
    a tidy reward for the winner   fails: the word stands only where a library's API has it
    a `RewardTrainer`, reward_model, model.get_reward(...), the field's "reward model"    pass

The glossary explains the word once, and names what the field calls reward hacking; no other page
does. This file is left out of its own check, since it has to show what fails.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
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

GLOSSARY = ROOT / "docs/GLOSSARY.md"
ENTRIES = ("| **reward** |", "| **reward hacking**, specification gaming |")
"""The two rows of the glossary that may hold the bare word: at a line's start, once each."""
FORMER = re.compile(
    r"\b(?:(?<!model )organisms?|golden|populations?|trajector(?:y|ies)"
    r"|base models?|assumes|keep_every|on probes|probe_samples)\b",
    re.IGNORECASE,
)
"""Words that others have replaced, as pages and settings had them; the field has its own term
`model organism`, and hidden states have linear probes."""


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


def faults(text: str, entries: Sequence[str] = ()) -> list[tuple[int, str]]:
    """Every breach of the rule: its line, counted from 1, and the words.

    `entries`: beginnings of lines that may hold the bare word, each the first time that it comes.
    """
    for phrase in ALLOWED:
        text = _blanked(re.compile(GAP.join(map(re.escape, phrase.split())) + r"\b", re.I), text)
    bare = _blanked(API_NAME, text)
    for entry in entries:
        bare = _blanked(re.compile(rf"^{re.escape(entry)}", re.M), bare, count=1)
    matches = [*CLAIM.finditer(text), *BARE.finditer(bare)]
    found: dict[int, str] = {}
    for match in matches:
        line = text.count("\n", 0, match.end()) + 1
        found.setdefault(line, " ".join(match.group().split()))
    return sorted(found.items())


def _blanked(pattern: re.Pattern[str], text: str, count: int = 0) -> str:
    """`text` with each match (the first `count` of them) turned to dots: lines and columns stay."""
    return pattern.sub(lambda match: re.sub(r"\S", "·", match.group()), text, count=count)


def pages() -> list[Path]:
    """What a newcomer reads: README, pages, configs, starters. The log and results have a date."""
    dated = (ROOT / "docs/LOG.md", ROOT / "docs/results")
    return [
        path
        for path in prose_files()
        if path == ROOT / "README.md"
        or path.is_relative_to(ROOT / "configs")
        or path.is_relative_to(ROOT / "rlhf_testbed/contract/templates")
        or (path.is_relative_to(ROOT / "docs") and not any(map(path.is_relative_to, dated)))
    ]


def test_the_project_says_scored_and_selected() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {words}"
        for path in prose_files()
        for line, words in faults(
            path.read_text(encoding="utf-8"), ENTRIES if path == GLOSSARY else ()
        )
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


def test_the_glossary_has_its_entries_and_nothing_more_may_stand_in_them() -> None:
    text = GLOSSARY.read_text(encoding="utf-8")
    assert all(text.count(f"\n{entry}") == 1 for entry in ENTRIES)
    assert len(faults(text)) == len(ENTRIES)
    assert not faults(text, ENTRIES)
    row = f"{ENTRIES[0]} a score |\n"
    assert not faults(row, ENTRIES)
    for wrong in (
        f"x{row}",  # not at a line's start
        row * 2,  # twice
        f"{ENTRIES[0]} a reward |\n",
        f"{ENTRIES[0]} the model gets `reward` |\n",
        "| **rewards** | scores |\n",
    ):
        assert faults(wrong, ENTRIES), wrong


@pytest.mark.parametrize(
    "word",
    """
    scenario | response | outcome | view | overseer | verdict | knowledge (κ)
    full-knowledge overseer | unwanted | randomised share (α) | diversity (δ)
    unintended share (ρ) | base policy | selection method | candidate goal
    off-distribution scenario | scripted policy | reference policy | checkpoint | prior | arm
    goal misgeneralisation | reward hacking | sycophancy | over-optimisation | outer alignment
    inner alignment | training game | model organism | RLHF | PPO | best-of-n | KL | MEG
    proxy and gold | linear probe
    """.replace("\n", "|").split("|"),
)
def test_the_glossary_explains_every_word(word: str) -> None:
    terms = re.findall(r"\*\*([^*\n]+)\*\*", GLOSSARY.read_text(encoding="utf-8"))
    known = {part.strip() for term in terms for part in (term, *term.split(","))}
    assert not word.strip() or word.strip() in known


def test_pages_use_todays_words() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in pages()
        for match in FORMER.finditer(path.read_text(encoding="utf-8"))
    ]
    assert GLOSSARY in pages()
    assert ROOT / "configs/corridor.yaml" in pages()
    assert not found, "old words:\n" + "\n".join(found)


def test_pages_say_no_word_twice_in_a_row() -> None:
    twice = re.compile(r"\b([a-z]{2,})\s+\1\b")
    assert twice.search("scripted\nscripted policies")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in pages()
        for match in twice.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_an_old_word_is_caught() -> None:
    for text in ("the golden organism", "on probes", "keep_every: 5", "the base population"):
        assert FORMER.search(text), text
    for text in ("a model organism", "linear probes of hidden states", "the base policy"):
        assert not FORMER.search(text), text


def test_the_line_is_that_of_the_word() -> None:
    assert faults("fine\nthe model\nwants more\nreward\n") == [(4, "wants more reward")]
