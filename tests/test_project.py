"""What holds for the project as a whole: configs, light commands, imports, README's tree, paths."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import typer

from rlhf_testbed import cli
from rlhf_testbed.settings import resuming
from rlhf_testbed.settings.parsing import parse_run
from scripted_runs import write_run
from test_words import ROOT, project_files

CONFIGS = sorted((ROOT / "configs").rglob("*.y*ml"))
EXPERIMENTS = sorted((ROOT / "configs").glob("*.yaml"))
HEAVY = ("torch", "transformers", "trl")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGES = ("tasks", "overseers", "rlhf_testbed")
LIGHT = (
    "rlhf_testbed.settings.parsing",
    "rlhf_testbed.settings.methods",
    "rlhf_testbed.judging.episode",
    "rlhf_testbed.contract",
    "rlhf_testbed.engine.local",
    "rlhf_testbed.policy.base_shelves",
    "rlhf_testbed.store.generations",
    "rlhf_testbed.store.base_kept",
    "rlhf_testbed.evaluation.definitions",
    "rlhf_testbed.experiment.compare",
    "rlhf_testbed.experiment.over_seeds",
    "rlhf_testbed.report.page",
    "rlhf_testbed.report.metrics",
    "rlhf_testbed.selection.ppo",
    "rlhf_testbed.selection.best_of_n",
    "rlhf_testbed.selection.expert_iteration",
    "rlhf_testbed.selection.grpo",
    "rlhf_testbed.selection.rloo",
    "rlhf_testbed.selection.raft",
)
"""Modules that are imported before anything is trained or measured."""
MACHINE_PATH = re.compile(rb"(?<![\w.:/~$})-])/(?:work|home|root|Users)/")


def header_faults(text: str) -> list[str]:
    """What the comment block at the top of a config lacks."""
    lines = text.splitlines()
    ends = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    header = lines[:ends]
    commands = [line for line in header if line.startswith("#   ")]
    prose = " ".join(line.lstrip("# ") for line in header if line not in commands)
    lacks = {
        "a sentence, from a capital to a full stop": re.match(r"[A-Z].*\w.*[.!?:)]", prose),
        "a command (#   rlhf-testbed ... or accelerate launch ...)": any(
            re.match(r"#   +(\S+=\S+ )*(\S*/)?(rlhf-testbed|accelerate launch) \S", line)
            for line in commands
        ),
        "its device (CPU or GPU)": re.search(r"\b[CG]PUs?\b|\bcores?\b", prose),
        "its time (minutes or seconds, or that it was not run)": re.search(
            r"\b(minutes?|seconds|not run)\b", prose
        ),
    }
    return [f"the header lacks {what}" for what, found in lacks.items() if not found]


def imported_modules(path: Path) -> Iterator[str]:
    """The dotted names that a Python file imports, anywhere in it; `from a import b` gives a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def under(name: str, package: str) -> bool:
    """Whether `name` is that package or lies in it."""
    return f"{name}.".startswith(f"{package}.")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_config_says_what_it_is_how_to_run_it_and_how_long_it_takes(path: Path) -> None:
    assert not header_faults(path.read_text(encoding="utf-8"))


def test_configs_are_found_and_a_poor_header_is_caught() -> None:
    assert ROOT / "configs/accelerate/cpu.yaml" in CONFIGS
    assert len(header_faults("task: corridor\n")) == 4
    command = "#   rlhf-testbed experiment configs/x.yaml"
    assert not header_faults(f"# One arm.\n#\n{command}\n#\n# Two minutes on two cores.\ntask: x\n")
    assert header_faults(f"{command}\n# minutes on a CPU\n") == [
        "the header lacks a sentence, from a capital to a full stop"
    ]
    assert len(header_faults("# One arm, in the second run of x.\n")) == 3


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_a_config_is_a_run_and_its_header_runs_it(path: Path) -> None:
    """Every setting is known and in range, and the first command names the file itself."""
    name = str(path.relative_to(ROOT))
    assert parse_run(["--config", str(path)]).study.task in path.stem
    command = re.search(r"^#   (.*)$", path.read_text(encoding="utf-8"), re.M)
    assert command
    assert command[1] == f"rlhf-testbed experiment {name}"


def ended(program: str) -> str:
    """What a program prints, in a process of its own, or why it failed."""
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return found.stdout + found.stderr


def of_command(heavy: tuple[str, ...], *arguments: str) -> str:
    """A program that runs one command, and tells which of the heavy modules that imported."""
    return f"""
import sys
from rlhf_testbed import cli
sys.argv = ["rlhf-testbed", *{arguments!r}]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code, f"exit {{stop.code}}"
print("imported:", *sorted({{*{heavy!r}}} & {{*sys.modules}}))
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["inspect", "--help"], ["list"], ["base", "list"], ["check", "scripted"]],
    ids=" ".join,
)
def test_light_commands_import_no_torch(arguments: list[str]) -> None:
    *printed, loaded = ended(of_command(HEAVY, *arguments)).splitlines()
    assert loaded == "imported:"
    assert "".join(printed).strip(), "printed nothing"


def test_reading_generations_imports_no_torch(tmp_path: Path) -> None:
    write_run(tmp_path / "run", updates=1)
    words = ("inspect", str(tmp_path / "run"), "--limit", "1")
    *printed, loaded = ended(of_command(("torch", "trl"), *words)).splitlines()
    assert loaded == "imported:"
    assert "full knowledge" in "".join(printed)


def test_comparing_imports_no_torch(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        write_run(tmp_path / name, seed=seed, updates=1)
    words = ("compare", str(tmp_path / "a"), str(tmp_path / "b"))
    *printed, loaded = ended(of_command(("torch", "trl"), *words)).splitlines()
    assert loaded == "imported:"
    assert "threat 1" in "".join(printed)


def test_light_modules_import_no_torch() -> None:
    """All in one process, each told with what was imported until then."""
    told = f"""
import importlib, sys
for module in {LIGHT!r}:
    importlib.import_module(module)
    print(module, *sorted({{"torch", "trl", "peft"}} & {{*sys.modules}}))
"""
    assert ended(told).splitlines() == list(LIGHT)


def test_a_heavy_import_is_caught() -> None:
    assert ended("import torch\n" + of_command(HEAVY, "--help")).endswith("imported: torch\n")


def test_one_module_only_imports_trls_experimental_part() -> None:
    importers = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if any(under(name, "trl.experimental") for name in imported_modules(path))
    }
    assert importers == {"rlhf_testbed/selection/ppo_rollout.py"}


def test_measures_import_nothing_of_the_project_but_arrays() -> None:
    measures = sorted((ROOT / "rlhf_testbed/measures").rglob("*.py"))
    own = ("rlhf_testbed.shared.arrays", "rlhf_testbed.measures")
    strays = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in measures
        for name in imported_modules(path)
        if any(under(name, package) for package in ("rlhf_testbed", "overseers", "tasks"))
        and not any(under(name, package) for package in own)
    ]
    assert measures
    assert not strays


def tree() -> dict[str, str]:
    """The places that README's tree names, with what it says of each."""
    (block,) = re.findall(r"^## Where things are\n\n```\n(.*?)^```$", README, re.M | re.S)
    found: dict[str, str] = {}
    for line in block.splitlines():
        place, purpose = line.split(maxsplit=1)
        found[f"rlhf_testbed/{place}" if line.startswith("  ") else place] = purpose
    return found


def uncovered(places: set[str], files: list[str]) -> list[str]:
    """The files that no line of the tree stands for: a room's line, or one of its own.

    What a package needs to be one belongs to the package.
    """
    rooms = {place for place in places if place.endswith("/")} - {"rlhf_testbed/"}
    own = {
        "README.md",
        "LICENSE",
        ".gitignore",
        "rlhf_testbed/__init__.py",
        "rlhf_testbed/py.typed",
    }
    return [
        name
        for name in files
        if name not in places | own and not any(name.startswith(room) for room in rooms)
    ]


def test_readmes_tree_names_every_room_and_leaves_no_file_out() -> None:
    files = [str(path.relative_to(ROOT)) for path in project_files()]
    assert "rlhf_testbed/measures/onset.py" in files
    assert uncovered(set(tree()), files) == []


def test_readmes_tree_names_nothing_that_is_not_there_and_gives_each_a_purpose() -> None:
    assert [place for place in tree() if not (ROOT / place).exists()] == []
    purposes = list(tree().values())
    assert len(set(purposes)) == len(purposes)
    folders = {path.parent for path in (ROOT / "rlhf_testbed").glob("*/*.py")}
    rooms = {f"rlhf_testbed/{folder.name}/" for folder in folders if not folder.is_symlink()}
    assert len(rooms) > 10
    assert rooms <= tree().keys()


def test_a_file_that_the_tree_leaves_out_is_caught() -> None:
    places = {"tasks/", "rlhf_testbed/", "rlhf_testbed/store/", "rlhf_testbed/cli.py"}
    files = ["tasks/a.py", "rlhf_testbed/store/b.py", "rlhf_testbed/new.py", "x.toml"]
    assert uncovered(places, files) == ["rlhf_testbed/new.py", "x.toml"]


def commands(text: str) -> list[list[str]]:
    """The commands of a page's blocks, as words; a line may go on in the next, or hold two."""
    lines = text.replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [
        shlex.split(part) for part in parts if part.startswith(("rlhf-testbed ", "accelerate "))
    ]


def test_every_command_of_the_readme_is_one() -> None:
    """Subcommands and options exist, and every training run can be parsed."""
    known = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    trained = []
    for words in commands(README):
        if words[0] == "rlhf-testbed":
            command = known[words[1]]
            if hasattr(command, "commands"):
                named = words[2] if words[2] in command.commands else "run"  # experiment CONFIG
                command = command.commands[named]
            options = {name for one in command.params for name in one.opts}
            if command.context_settings.get("ignore_unknown_options"):  # they are a run's settings
                options |= {*resuming.OPTIONS, *(f"--{name}" for name in parse_run([]).flat())}
            assert {word for word in words[2:] if word.startswith("--")} <= options, words
        elif not any("my_pkg" in word for word in words):
            assert words[1:4] == ["launch", "-m", "rlhf_testbed.train"]
            trained.append(parse_run(words[4:]).selection.method)
    assert set(trained) == {"ppo", "expert_iteration", "best_of_n"}


def test_no_file_names_a_path_of_one_machine() -> None:
    assert MACHINE_PATH.search(b"see /work" + b"/main")
    assert not MACHINE_PATH.search(b"https://example.org/home" + b"/page, runs/work" + b"/x")
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in project_files()
        for match in MACHINE_PATH.finditer(path.read_bytes())
    ]
    assert not found


def test_the_command_of_this_process_can_be_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the machine's path to the program, and quoted."""
    from rlhf_testbed.store.provenance import this_command

    words = ["/opt/venv/bin/rlhf-testbed", "report", "runs/both knowledge=0.5/seed-0"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert this_command() == "rlhf-testbed report 'runs/both knowledge=0.5/seed-0'"
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("a.train", None))
    assert this_command() == "python -m a.train report 'runs/both knowledge=0.5/seed-0'"
