"""What holds for the project as a whole: config headers, light commands, imports, paths."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from test_words import ROOT, project_files

CONFIGS = sorted((ROOT / "configs").rglob("*.y*ml"))
HEAVY = ("torch", "transformers", "trl")
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
    assert len(header_faults("task: corridor\n")) == 3
    command = "#   rlhf-testbed experiment configs/x.yaml"
    assert not header_faults(f"# One arm.\n#\n{command}\n#\n# Two minutes on two cores.\ntask: x\n")
    assert header_faults(f"{command}\n# minutes\n") == [
        "the header lacks a sentence, from a capital to a full stop"
    ]
    assert len(header_faults("# One arm, in the second run of x.\n")) == 2


@pytest.mark.parametrize(
    "arguments", [["--help"], ["inspect", "--help"], ["list"], ["check", "scripted"]], ids=" ".join
)
def test_light_commands_import_no_torch(arguments: list[str]) -> None:
    program = f"""
import sys
from rlhf_testbed import cli
sys.argv = ["rlhf-testbed", *{arguments!r}]
try:
    cli.main()
except SystemExit as stop:
    assert not stop.code, f"exit {{stop.code}}"
loaded = sorted({{*{HEAVY!r}}} & {{*sys.modules}})
assert not loaded, f"imported {{', '.join(loaded)}}"
"""
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip(), "printed nothing"


def test_one_module_only_imports_trls_experimental_part() -> None:
    importers = {
        str(path.relative_to(ROOT))
        for package in ("tasks", "overseers", "rlhf_testbed")
        for path in (ROOT / package).rglob("*.py")
        if any(under(name, "trl.experimental") for name in imported_modules(path))
    }
    assert importers == {"rlhf_testbed/ppo.py"}


def test_measures_import_nothing_of_the_project_but_arrays() -> None:
    measures = sorted((ROOT / "rlhf_testbed/measures").rglob("*.py"))
    own = ("rlhf_testbed.arrays", "rlhf_testbed.measures")
    strays = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in measures
        for name in imported_modules(path)
        if any(under(name, package) for package in ("rlhf_testbed", "overseers", "tasks"))
        and not any(under(name, package) for package in own)
    ]
    assert measures
    assert not strays


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
    from rlhf_testbed.run_directory import this_command

    words = ["/opt/venv/bin/rlhf-testbed", "report", "runs/both knowledge=0.5/seed-0"]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert this_command() == "rlhf-testbed report 'runs/both knowledge=0.5/seed-0'"
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("a.train", None))
    assert this_command() == "python -m a.train report 'runs/both knowledge=0.5/seed-0'"
