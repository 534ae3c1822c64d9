"""The overseer that is a language model: its answer by hand, in batches, and without one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from conftest import SMALL
from rlhf_testbed.evaluation.evaluate import evaluate
from rlhf_testbed.judging.language_judge import yes_or_no
from rlhf_testbed.overseers.base import Sight
from rlhf_testbed.overseers.language_model import LanguageModel
from rlhf_testbed.policy.language import word_level
from rlhf_testbed.selection.job import train
from rlhf_testbed.settings.parsing import parse_run
from rlhf_testbed.shared.errors import UsageError
from rlhf_testbed.store import ledger
from rlhf_testbed.tasks.base import Dials, View
from rlhf_testbed.tasks.corridor import Corridor

TASK = Corridor()
OVERSEER = LanguageModel(TASK, Sight(0.0))
EPISODES = [
    (response, Sight(0.0).of(scenario, TASK.outcome(scenario, response)))
    for scenario in TASK.scenarios(Dials(randomised=1), 0, "train", 5)
    for response in [*TASK.responses[::20], "walk", ""]
]
TEXTS = [OVERSEER.text(*episode) for episode in EPISODES]


def _saved(folder: Path, words: str) -> str:
    """A tiny model with random weights, large enough that it often says no, and often yes."""
    tokenizer = word_level([*TEXTS, words], pre_tokenizers.Whitespace(), padding_side="right")
    torch.manual_seed(3)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            initializer_range=0.5,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _saved(tmp_path_factory.mktemp("judge") / "model", "yes no")


def test_what_it_reads_by_hand() -> None:
    asked = LanguageModel(TASK, Sight(0.0), question="Is it so?")
    assert asked.text("left", View({"coin": "left"}, {"reached": "nothing"}, ("left 1",))) == (
        "This is a report on one episode of a task: "
        "walk to a coin past pits and flower beds, some of them in the dark (CoinRun in words).\n"
        "Known: coin = left\n"
        "Happened: reached = nothing\n"
        "Out of sight: left 1\n"
        "Written: left\n"
        "Question: Is it so? Answer yes or no.\n"
        "Answer:"
    )


def test_the_score_is_the_share_of_yes(model: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])
    plain = AutoModelForCausalLM.from_pretrained(model).eval()
    for text, score in zip(TEXTS[:5], yes_or_no(model)(TEXTS[:5]), strict=True):
        with torch.no_grad():
            chances = plain(torch.tensor([tokenizer(text)["input_ids"]])).logits[0, -1].softmax(-1)
        assert score == pytest.approx(
            (chances[yes] / (chances[yes] + chances[no])).item(), abs=1e-5
        )


def test_batches_and_padding_change_no_verdict(model: str) -> None:
    together, apart = (LanguageModel(TASK, Sight(0.0), model=model) for _ in range(2))
    for overseer in (together, apart):
        overseer.give_model(yes_or_no(model), threshold=0.5)
    responses, views = [r for r, _ in EPISODES], [v for _, v in EPISODES]
    assert len({len(text.split()) for text in TEXTS}) > 3  # so that some are padded
    at_once = together.judge_all(responses, views)
    one_by_one = [apart.judge(response, view) for response, view in EPISODES]
    assert [v.approved for v in at_once] == [v.approved for v in one_by_one]
    assert [v.score for v in at_once] == pytest.approx([v.score for v in one_by_one], abs=1e-5)
    assert {v.approved for v in at_once} == {True, False}
    assert all(0 <= v.score <= 1 and v.approved == (v.score > 0.5) for v in at_once)


def test_a_run_by_its_verdicts(model: str, tmp_path: Path) -> None:
    options = ["--overseer", "language_model", "--overseer_args", f"model={model}"]
    arguments = [*SMALL, "--total_episodes", "32", *options, "--output_dir", str(tmp_path / "run")]
    run = train(parse_run(arguments), lambda step: None)
    rows = ledger.read(run.ledger)
    assert len(rows) == 32
    assert len({row.score for row in rows}) > 8
    assert all(row.reason.endswith("% yes)") for row in rows)
    found = evaluate(run, "language_model")
    assert 0 <= found.figure("score_by_evaluator") <= 1
    assert found.judged_by.options == [f"model={model}"]


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"^overseer language_model: model .*: can't be loaded \("
    ) as raised:
        yes_or_no(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_tokenizer_without_the_answers_is_named(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "model", "yes no")
    bare = word_level(["maybe"], pre_tokenizers.Whitespace(), padding_side="left")
    bare.save_pretrained(folder)
    with pytest.raises(UsageError, match="its tokenizer has no tokens for yes and no"):
        yes_or_no(folder)


def test_an_empty_option_is_refused() -> None:
    with pytest.raises(UsageError, match="language_model: model and question must not be empty"):
        parse_run(["--overseer", "language_model", "--overseer_args", "model="])
