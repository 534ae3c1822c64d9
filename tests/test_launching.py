"""The files for `accelerate launch`: accelerate reads them, and knows every setting in them."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType

from test_words import ROOT

FILES = {
    "cpu": (DistributedType.NO, 1),
    "deepspeed": (DistributedType.DEEPSPEED, 8),
    "fsdp": (DistributedType.FSDP, 8),
    "multi_gpu": (DistributedType.MULTI_GPU, 4),
    "one_gpu": (DistributedType.NO, 1),
}


def test_every_file_is_looked_at() -> None:
    assert sorted(FILES) == sorted(file.stem for file in (ROOT / "configs/accelerate").iterdir())


@pytest.mark.parametrize("name", FILES)
def test_accelerate_takes_the_file(name: str) -> None:
    found = load_config_from_file(str(ROOT / f"configs/accelerate/{name}.yaml"))
    assert (found.distributed_type, found.num_processes) == FILES[name]
    assert found.use_cpu == (name == "cpu")


@pytest.mark.parametrize("name", FILES)
def test_accelerate_knows_every_setting_of_a_section(name: str) -> None:
    """One that it doesn't know in a section of its own it leaves out without a word."""
    file = ROOT / f"configs/accelerate/{name}.yaml"
    known = set(vars(_asked(file)))
    for section in ("deepspeed_config", "fsdp_config"):
        assert known >= set(yaml.safe_load(file.read_text()).get(section, {}))


@pytest.mark.parametrize("name", FILES)
def test_the_header_launches_a_training_by_the_file_itself(name: str) -> None:
    file = ROOT / f"configs/accelerate/{name}.yaml"
    asked = _asked(file)
    assert asked.config_file == str(file.relative_to(ROOT))
    assert (asked.module, asked.training_script) == (True, "rlhf_testbed.train")


def _asked(file: Path) -> argparse.Namespace:
    command = re.search(r"^#   accelerate launch (.*)$", file.read_text(), re.M)
    assert command
    return launch_command_parser().parse_args(shlex.split(command[1]))
