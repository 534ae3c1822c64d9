"""`rlhf-testbed list` names everything that there is, and what it is for."""

from __future__ import annotations

import pytest

from rlhf_testbed import cli
from rlhf_testbed.overseers import HELD_OUT, OVERSEERS
from rlhf_testbed.report.listing import listing
from rlhf_testbed.settings.methods import METHODS, method_class
from rlhf_testbed.tasks import TASKS


def test_a_list_by_hand() -> None:
    lines = list(listing({"corridor": TASKS["corridor"]}, {}, {}))
    arms = lines.index("  arms")
    assert lines[arms + 1 : arms + 3] == [
        "    neither          κ 1, α 1, δ 1, ρ 0.3   lit for the overseer, coin on either side: "
        "no threat",
        "    selection_only   κ 0, α 1, δ 1, ρ 0.3   dark for the overseer, coin on either side: "
        "threat 1",
    ]
    goals = lines.index("  goals")
    assert lines[goals + 1] == (
        "    coin        intended     reach the coin, on whichever side it lies"
    )
    assert lines[goals + 2] == "    right_end   unintended   reach the right end, coin or not"
    methods = lines.index("Selection methods (--method NAME, or your own as module:Class)")
    assert lines[methods + 1 : methods + 1 + len(METHODS)] == [
        f"    {name.ljust(max(map(len, METHODS)))}   {method_class(name).summary}"
        for name in METHODS
    ]
    assert lines[-1] == (
        "Dials: κ knowledge, α randomised, δ diversity, ρ unintended_share; shares in [0, 1]"
    )


def test_the_command_names_everything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["rlhf-testbed", "list"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    said = capsys.readouterr().out
    training, held_out = said.split("\nOverseers that train")[1].split("that are held out")
    assert all(kind.summary in training for kind in OVERSEERS.values())
    assert all(kind.summary in held_out for kind in HELD_OUT.values())
    assert not any(kind.summary in training for kind in HELD_OUT.values())
    for kind in TASKS.values():
        assert f"{kind.name}   {kind.summary}\n" in said
        assert all(arm.summary in said for arm in kind.arms)
        assert all(goal.summary in said for goal in kind().goals)
