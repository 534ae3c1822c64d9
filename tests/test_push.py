"""Pushing to the Hub, against a stand-in on this machine: what arrives, and what is refused."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard, ModelCard, SpaceCard, constants

from hub_server import TOKEN, HubServer, hub_server
from rlhf_testbed import cli
from rlhf_testbed.export import machine
from rlhf_testbed.export.formats import export
from rlhf_testbed.report.page import write_report

NAME = "alice/both"
PAGE = "<p>/lustre/alice/runs/both-1</p><script>see('/usr/share/x')</script>"
ALL = [("model", NAME), ("dataset", NAME), ("space", NAME)]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The Hub, as far as the client is concerned, and a token for it."""
    with hub_server() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        huggingface_hub.close_session()
        yield server
    huggingface_hub.close_session()


@pytest.fixture(scope="module")
def ready(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluated run with its dataset, and a page for its report."""
    folder = tmp_path_factory.mktemp("ready") / "both-1"
    shutil.copytree(evaluated, folder)
    export(folder, "dataset")
    (folder / "report").mkdir()
    (folder / "report" / "index.html").write_text(PAGE, encoding="utf-8")
    (folder / "report" / "plane.png").write_bytes(bytes(range(256)) * 9)
    return folder


@pytest.fixture
def run(ready: Path, tmp_path: Path) -> Path:
    """The same, for a test that changes it."""
    return Path(shutil.copytree(ready, tmp_path / "both-1"))


def push(monkeypatch: pytest.MonkeyPatch, path: Path | str, *words: str, to: str = NAME) -> int:
    """Exit status of the command."""
    monkeypatch.setattr(sys, "argv", ["rlhf-testbed", "push", str(path), to, *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


def files_of(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_a_dry_run_says_what_would_go_where_and_asks_nobody(
    ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = files_of(ready)
    assert push(monkeypatch, ready, "--dry-run") == 0
    told = capsys.readouterr().out
    assert re.findall(r"^(\w+) alice/both, private$", told, re.MULTILINE) == [
        "model",
        "dataset",
        "space",
    ]
    pushed = ["policy", "export/dataset", "report"]
    for folder in pushed:
        for name in files_of(ready / folder):
            assert re.search(rf"^ +[\d.]+ \w+  {re.escape(name)}( |$)", told, re.MULTILINE), name
    assert "config.yaml" in told
    assert "measures.json" in told
    weights = (ready / "policy/model.safetensors").stat().st_size
    assert f"{weights / 1e6:.1f} MB  model.safetensors" in told
    assert "index.html  (without this machine's paths)" in told
    assert told.endswith("nothing was pushed\n")
    assert files_of(ready) == before
    assert push(monkeypatch, ready, "--dry-run", "--public", "--what", "dataset") == 0
    assert capsys.readouterr().out.startswith("dataset alice/both, public\n")


def test_what_is_pushed_arrives(
    ready: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(monkeypatch, ready) == 0
    told = capsys.readouterr().out
    assert [tuple(line.split()) for line in told.splitlines()] == [
        ("model", f"{hub.url}/{NAME}"),
        ("dataset", f"{hub.url}/datasets/{NAME}"),
        ("space", f"{hub.url}/spaces/{NAME}"),
    ]
    assert list(hub.repos) == ALL
    model, dataset, space = hub.repos.values()
    assert all(repo.private for repo in (model, dataset, space))
    assert space.sdk == "static"
    policy = files_of(ready / "policy")
    assert policy.keys() | {"config.yaml", "environment.json", "measures.json"} == {*model.files}
    assert model.files["model.safetensors"] == policy["model.safetensors"]
    assert model.files["tokenizer.json"] == policy["tokenizer.json"]
    assert dataset.files == files_of(ready / "export" / "dataset")
    assert space.files["plane.png"] == (ready / "report" / "plane.png").read_bytes()
    assert ModelCard(model.files["README.md"].decode()).data.library_name == "transformers"
    assert DatasetCard(dataset.files["README.md"].decode()).data.configs
    card = SpaceCard(space.files["README.md"].decode()).data
    assert (card.sdk, card.app_file, card.models, card.datasets) == (
        "static",
        "index.html",
        [NAME],
        [NAME],
    )


def test_no_path_of_this_machine_is_pushed(
    ready: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(ready.parent.parent) in (ready / "config.yaml").read_text(encoding="utf-8")
    assert push(monkeypatch, ready) == 0
    sent = [content for repo in hub.repos.values() for content in repo.files.values()]
    for place in machine.places(ready):
        assert not any(place.encode() in content for content in sent), place
    assert b"--config config.yaml" in hub.repos["model", NAME].files["config.yaml"]
    page = hub.repos["space", NAME].files["index.html"]
    assert page == b"<p>both-1</p><script>see('/usr/share/x')</script>"


def test_pushed_again_nothing_is_sent_again(
    ready: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert push(monkeypatch, ready) == 0
    assert len(hub.sent) == len(set(hub.sent)) == len(hub.large) > 2
    assert [repo.commits for repo in hub.repos.values()] == [1, 1, 1]


def test_a_push_that_failed_goes_on(
    ready: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.fails["/api/datasets/alice/both/commit"] = 500
    assert push(monkeypatch, ready) == 2
    assert capsys.readouterr().err == (
        f"error: {hub.url}: dataset alice/both: it has failed (status 500); later the same command "
        "goes on where it was\n"
    )
    assert [repo.commits for repo in hub.repos.values()] == [1, 0]
    hub.fails.clear()
    assert push(monkeypatch, ready) == 0
    assert [repo.commits for repo in hub.repos.values()] == [1, 1, 1]
    assert len(hub.sent) == len(set(hub.sent))


def test_a_new_dataset_takes_the_place_of_the_old_one(
    run: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert push(monkeypatch, run, "--what", "dataset") == 0
    repo = hub.repos["dataset", NAME]
    repo.files["notes.md"] = b"the user's own"
    (old,) = (run / "export/dataset").glob("data-*")
    old.rename(old.with_name("data-0000000000000000"))
    assert push(monkeypatch, run, "--what", "dataset") == 0
    assert {"notes.md": b"the user's own", **files_of(run / "export/dataset")} == repo.files


def test_an_experiments_policies_have_a_folder_each(
    experiment: Path,
    hub: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(shutil.copytree(experiment, tmp_path / "x"))
    assert push(monkeypatch, folder, "--what", "policy") == 0
    told = capsys.readouterr().err.splitlines()
    assert [line.partition("x/both/")[2].partition(":")[0] for line in told] == [
        "seed-2/evaluation/full_knowledge/measures.json is not there (rlhf-testbed evaluate "
        f"{folder}/both/seed-2)",
        "seed-3",
    ]
    files = hub.repos["model", NAME].files
    for place in ("both/seed-1", "both randomised=0.5/seed-1"):
        weights = (folder / place / "policy/model.safetensors").read_bytes()
        assert files[f"{place}/model.safetensors"] == weights
        assert f"[{place}](./{place.replace(' ', '%20')})" in files["README.md"].decode()
    assert not any(path.startswith(("both/seed-2", "both/seed-3")) for path in files)
    assert ModelCard(files["README.md"].decode()).data.tags


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    return told.err.removeprefix("error: ").strip()


def test_what_is_missing_is_told_with_the_command_that_makes_it(
    trained: Path,
    evaluated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = {
        ("policy", trained): f"rlhf-testbed evaluate {trained}",
        ("dataset", evaluated): f"rlhf-testbed export {evaluated} --to dataset",
        ("report", evaluated): f"rlhf-testbed report {evaluated}",
        ("all", tmp_path / "nowhere"): "no such run or experiment",
        ("all", tmp_path): "neither a run (config.yaml) nor an experiment",
    }
    for (what, path), right in cases.items():
        assert push(monkeypatch, path, "--what", what, "--dry-run") == 2
        assert right in one_line(capsys)
    unfinished = Path(shutil.copytree(trained, tmp_path / "unfinished"))
    (unfinished / "finished.json").unlink()
    assert push(monkeypatch, unfinished, "--what", "policy", "--dry-run") == 2
    assert "training has not finished here" in one_line(capsys)
    assert push(monkeypatch, evaluated, "--what", "polcy", "--dry-run") == 2
    assert "did you mean 'policy'?" in one_line(capsys)


@pytest.mark.parametrize(
    "name", ["both", "a/b/c", "alice/b--c", "alice/", "alice/b c", "alice/x.git"]
)
def test_an_odd_name_is_refused(
    name: str, ready: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(monkeypatch, ready, "--dry-run", to=name) == 2
    assert one_line(capsys).startswith(f"command line: REPO = {name}")


def test_what_the_hub_refuses_is_one_line(
    ready: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(to: str = NAME, *words: str) -> str:
        assert push(monkeypatch, ready, "--what", "policy", *words, to=to) == 2
        return one_line(capsys).removeprefix(f"{hub.url}: model {to}: ")

    assert refused("bob/both").startswith("it is not yours to write to")
    said = {429: "too much was asked", 418: "it refuses (status 418): stand-in says"}
    for status, told in said.items():
        hub.fails["/commit/"] = status
        assert refused().startswith(told)
    hub.large.clear()
    hub.fails["/large/"] = 403
    assert refused().startswith("it is not yours to write to")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.fails["/xet-write-token/"] = 403  # hf_xet asks for it
    assert refused().startswith("it is not yours to write to")
    hub.fails.clear()
    assert refused(NAME, "--public") == (
        "is there already and private (right: --private, or another name)"
    )
    hub.repos["model", NAME].private = False
    assert refused() == "is there already and public (right: --public, or another name)"
    assert not hub.repos["model", NAME].files
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    assert refused().startswith("it does not accept the token")
    monkeypatch.delenv("HF_TOKEN")
    assert refused().startswith("no token for the Hugging Face Hub")


def test_a_hub_that_is_not_there_is_one_line(
    ready: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert push(monkeypatch, ready) == 2
    there = "http://127.0.0.1:9: model alice/both"
    assert one_line(capsys).startswith(f"{there}: it can't be reached (")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    assert push(monkeypatch, ready) == 2
    assert "HF_HUB_OFFLINE is set" in one_line(capsys)


def test_a_table_that_holds_a_folder_of_this_machine_is_refused(
    run: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (file, *_) = (run / "export/dataset").glob("data-*/train-*.parquet")
    table = pq.read_table(file)
    reasons = pa.array([f"read in {run}/x"] * len(table))
    at = table.schema.get_field_index("reason")
    pq.write_table(table.set_column(at, "reason", reasons), file)
    assert push(monkeypatch, run) == 2
    assert one_line(capsys).startswith(f"{file}: holds {run.parent}")
    assert not hub.asked


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("--config '/lustre/a b/c.yaml'", "--config 'a b/c.yaml'"),
        ("at C:\\Users\\alice\\runs\\x, d:/data/y.", "at x, y."),
        ("key=/lustre/alice/x", "key=x"),
        ('{"command": "train /lustre/a/b\\n\\tnext"}', '{"command": "train b\\n\\tnext"}'),
        ("runs/both-3 and 1/2/3 and </p></td>", "runs/both-3 and 1/2/3 and </p></td>"),
        ('<img src="data:image/png;base64,/9j/4AA+/b/c">', None),
        ("https://arxiv.org/abs/1/2 and //example.org/a/b", None),
        ("- url=https://node7.cluster.local:8000/v1", "- url=https://HOST/v1"),
        ("<style>a{b:url(/c/d)}</style>/c/d", "<style>a{b:url(/c/d)}</style>d"),
    ],
)
def test_full_paths_and_servers_are_cut(text: str, told: str | None) -> None:
    assert machine.without_machine(text) == (text if told is None else told)


def test_this_machines_name_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-17")
    told = machine.without_machine("rank 1 on gpu-17, and gpu-170, on gpu-17.")
    assert told == "rank 1 on HOST, and gpu-170, on HOST."
    monkeypatch.setattr(socket, "gethostname", lambda: "report")
    assert machine.without_machine("the report") == "the report"


@pytest.mark.slow
def test_a_real_report_is_pushed_by_the_command(
    evaluated: Path, hub: HubServer, tmp_path: Path
) -> None:
    """In a process of its own, which knows the Hub from its environment alone."""
    run = Path(shutil.copytree(evaluated, tmp_path / "both-1"))
    write_report(run)
    command = [sys.executable, "-c", "from rlhf_testbed.cli import main; main()"]
    there = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    ended = subprocess.run(
        [*command, "push", str(run), NAME, "--what", "report", "--public"],
        env={**os.environ, **there},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == f"space    {hub.url}/spaces/{NAME}\n"
    repo = hub.repos["space", NAME]
    assert not repo.private
    before = (run / "report/index.html").read_text("utf-8")
    after = repo.files["index.html"].decode()
    assert str(run) in before
    assert not [place for place in machine.places(run) if place in after]
    scripts = [re.findall(r"<script.*?</script>", page, re.DOTALL) for page in (before, after)]
    assert scripts[0] == scripts[1]
    assert len(scripts[0]) > 3
    told = before.replace(f"{run}/config.yaml", "config.yaml").replace(str(run), run.name)
    assert told == after
