"""A policy under training, with its reference, optimiser and schedule; no method's mathematics.

    learner = Learner(start, settings, steps=120, max_grad_norm=1.0)
    drawn = learner.sample(indices of scenarios, seed)    tokens, masks, log-probabilities
    learner.log_probs(drawn)                              the same by the policy now, with gradients
    learner.step(loss)                                    one step of the optimiser

GRPO, RLOO and expert iteration are functions of this and of verdicts. PPO has TRL's own trainer
instead, since it is to equal that one to the last bit.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from peft import PeftModel, get_peft_model
from transformers import PreTrainedModel, Trainer, TrainingArguments, get_scheduler, set_seed

from rlhf_testbed.policy.base_policy import load_base_policy
from rlhf_testbed.policy.language import Language, left_padded
from rlhf_testbed.policy.language_policy import longest_response
from rlhf_testbed.policy.merging import merged, plain
from rlhf_testbed.policy.suitable import refuse_alike, refuse_short_context
from rlhf_testbed.selection import reading, training_state
from rlhf_testbed.selection.dropout import switch_dropout_off
from rlhf_testbed.selection.lora import faults_of_lora_told, lora_config, recompute_activations
from rlhf_testbed.selection.method import Completions, Start, State
from rlhf_testbed.selection.narrow import Narrow, samples_alike
from rlhf_testbed.selection.reading import Written
from rlhf_testbed.selection.reference import ReferenceMemory
from rlhf_testbed.selection.sampling import sampled
from rlhf_testbed.selection.scenario_order import SEEDS_A_PROCESS
from rlhf_testbed.selection.training_settings import TrainingSettings
from rlhf_testbed.selection.update_trunk import UpdateTrunk


@dataclass(frozen=True)
class Drawn(Completions):
    """What was sampled in one update. Shapes [episodes, tokens] unless noted."""

    written: Written
    kept: torch.Tensor
    """True up to a response's end, which is one of its tokens."""
    log_probs: torch.Tensor
    """By the policy that sampled, in nats; 0 where nothing is kept. So are the next."""
    reference: torch.Tensor

    @property
    def responses(self) -> torch.Tensor:
        """Tokens, ends after the first one included."""
        return self.written.responses

    @property
    def kl(self) -> list[float]:
        """Of each episode log policy - log reference, summed over its tokens, in nats."""
        return (self.log_probs - self.reference).sum(1).tolist()


class Learner:
    """What a method that trains holds; `steps`: how often the optimiser will be asked."""

    def __init__(
        self, start: Start, settings: TrainingSettings, steps: int, max_grad_norm: float
    ) -> None:
        run = start.run
        set_seed(run.seed)
        on_cpu = run.selection.use_cpu or not torch.accelerator.is_available()
        # First: transformers sets accelerate's state anew.
        told = _arguments(run.output_dir, settings, on_cpu)
        kind, options = Trainer.get_optimizer_cls_and_kwargs(told)
        self.tracker = None if settings.report_to == "none" else settings.report_to
        self.accelerator = Accelerator(
            cpu=on_cpu,
            log_with=self.tracker,
            project_dir=os.environ.get("TENSORBOARD_LOGGING_DIR") or run.output_dir / "runs",
        )
        self.project, self.name = settings.project, settings.run_name or start.name
        language = load_base_policy(
            start.base, attn_implementation=run.base.attn_implementation, dtype=run.base.dtype
        )
        self.tokenizer, self.scenarios = language.tokenizer, start.scenarios
        self.length = run.selection.response_length or longest_response(language, run.task)
        self.prompts = [language.prompt_ids(scenario.prompt) for scenario in start.scenarios]
        refuse_short_context(language.model, max(map(len, self.prompts)) + self.length)
        refuse_alike(language, [scenario.prompt for scenario in start.scenarios], "prompts")
        model = language.model
        switch_dropout_off(model)
        if settings.gradient_checkpointing:
            recompute_activations(model)
        adapter = lora_config(settings, model)
        self.reference = None if adapter else copy.deepcopy(model).eval().requires_grad_(False)
        """The base policy; of LoRA, the policy without its adapter instead."""
        with faults_of_lora_told():
            policy: torch.nn.Module = get_peft_model(model, adapter) if adapter else model
        self.max_grad_norm = max_grad_norm
        optimiser = kind(_groups(policy, settings.weight_decay), **options)
        self.policy, self.optimiser = self.accelerator.prepare(policy, optimiser)
        self.model: torch.nn.Module = self.accelerator.unwrap_model(self.policy)
        """The policy as torch has it, with its adapter where there is one."""
        if self.reference is not None:
            self.reference.to(self.accelerator.device)
        self.schedule = get_scheduler(
            settings.lr_scheduler_type,
            self.optimiser,
            num_warmup_steps=settings.warmup_steps,
            num_training_steps=steps,
        )
        self.memory = ReferenceMemory()
        again = settings.gradient_checkpointing  # layers are run again, when nothing is cut short
        models = [] if again else [self.model]
        self.narrow = Narrow([*models, *([self.reference] if self.reference else [])])
        self.samples_itself = samples_alike(plain(self.model))
        # DistributedDataParallel is to see one reading for each step.
        alone = self.accelerator.num_processes == 1 and not again
        self.shares_prompts = alone and reading.alike(self.policy, self.narrow)
        self.trunk = UpdateTrunk.of(plain(self.model)) if alone else None

    def live(self) -> Language:
        """The policy as it is now, to be read and scored."""
        return Language(plain(self.model), self.tokenizer)

    @torch.no_grad()
    def sample(self, places: Sequence[int], seed: int) -> Drawn:
        """A response to each scenario of these places, by the policy as it is."""
        device, different = self.accelerator.device, list(dict.fromkeys(places))
        batch = left_padded([self.prompts[at] for at in different])
        ids, mask = (batch[name].to(device) for name in PADDED)
        of = torch.tensor([different.index(at) for at in places], device=device)
        torch.manual_seed(seed + SEEDS_A_PROCESS * self.accelerator.process_index)
        responses, logits = self._sampled(ids, mask, of)
        ends = responses == self.tokenizer.eos_token_id
        kept = (ends.cumsum(1) - ends.long()) == 0
        responses = responses.masked_fill(~kept, self.tokenizer.eos_token_id)
        written = Written(ids, mask, of, responses)
        found = _chosen(logits, responses).masked_fill(~kept, 0.0)
        keys = [(at, *row) for at, row in zip(places, responses.tolist(), strict=True)]
        reference = self.memory.of(keys, lambda new: self._by_reference(written.some(new)))
        live = self.live()
        return Drawn(
            scenarios=[self.scenarios[at] for at in places],
            texts=[live.text(row) for row in responses.tolist()],
            written=written,
            kept=kept,
            log_probs=found,
            reference=reference.to(found.device).masked_fill(~kept, 0.0),
        )

    def log_probs(self, drawn: Drawn) -> torch.Tensor:
        """By the policy as it is, with gradients; 0 where nothing is kept."""
        found = self._read(self.policy, drawn.written)
        return _chosen(found, drawn.responses).masked_fill(~drawn.kept, 0.0)

    @contextmanager
    def tracked(self) -> Iterator[None]:
        """All updates, between beginning and end of the tracker's run."""
        if self.tracker:
            named = {} if self.tracker == "tensorboard" else {self.tracker: {"name": self.name}}
            self.accelerator.init_trackers(self.project, init_kwargs=named)
        try:
            yield
        finally:
            if self.tracker:
                self.accelerator.end_training()

    def tell(self, update: int, figures: Mapping[str, Any]) -> None:
        """Passes an update's figures to the tracker, under the names that PPO's have."""
        if self.tracker:
            told = {f"train/{name}": value for name, value in figures.items()}
            self.accelerator.log(told, step=update)

    def step(self, loss: torch.Tensor) -> None:
        """One step of the optimiser and of the schedule."""
        self.accelerator.backward(loss)
        if self.max_grad_norm:
            self.accelerator.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()

    def state(self) -> State:
        """All that changes from update to update."""
        return training_state.told(self.model, self.optimiser, self.schedule, self.memory)

    def go_on(self, state: State) -> None:
        """Brings a new learner to where another one was."""
        training_state.taken_up(self.model, self.optimiser, self.schedule, self.memory, state)

    def parameters(self) -> dict[str, torch.Tensor]:
        """A copy of the parameters that are trained, by name."""
        trained = training_state.trained(self.model)
        return {name: each.detach().clone() for name, each in trained.items()}

    def restart(self, begun: Mapping[str, torch.Tensor]) -> None:
        """Goes back to those parameters, with a fresh optimiser; the schedule goes on."""
        with torch.no_grad():
            for name, each in training_state.trained(self.model).items():
                each.copy_(begun[name])
        self.optimiser.state.clear()

    def save(self, folder: Path, adapter: Path) -> None:
        """Saves the policy with its tokenizer; of LoRA the adapter too, and the policy merged."""
        policy = self.model
        if isinstance(policy, PeftModel):
            policy.save_pretrained(adapter)
            policy = merged(policy)
        self._write(policy, folder)

    def keep(self, folder: Path) -> None:
        """Saves the policy (of LoRA the adapter) with its tokenizer."""
        self._write(self.model, folder)

    def _write(self, policy: torch.nn.Module, folder: Path) -> None:
        assert isinstance(policy, PreTrainedModel | PeftModel)
        policy.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _sampled(
        self, ids: torch.Tensor, mask: torch.Tensor, of: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [episodes, tokens] and their logits, by the loop of a few tokens or by
        transformers' own."""
        model = plain(self.model)
        if self.samples_itself:
            with self.narrow.to(1):
                return sampled(model, ids, mask, self.length, 1.0, of)
        written = model.generate(
            input_ids=ids[of],
            attention_mask=mask[of],
            max_new_tokens=self.length,
            do_sample=True,
            top_k=0,
            top_p=1.0,
            temperature=1.0,
            return_dict_in_generate=True,
            output_logits=True,
        )
        return written.sequences[:, ids.shape[1] :], torch.stack(written.logits, dim=1).float()

    def _by_reference(self, written: Written) -> torch.Tensor:
        """Log-probabilities of responses by the base policy: [completions, tokens]."""
        policy = self.model
        other = policy if self.reference is None else self.reference
        without = policy.disable_adapter() if isinstance(policy, PeftModel) else nullcontext()
        with torch.no_grad(), without:
            return _chosen(self._read(other, written), written.responses)

    def _read(self, model: torch.nn.Module, written: Written) -> torch.Tensor:
        """Logits of the responses: [completions, tokens, words]."""
        read = reading.shared if self.shares_prompts else reading.whole
        return read(model, written, self.narrow)


PADDED = ("input_ids", "attention_mask")


def _chosen(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of tokens [episodes, tokens] from logits [episodes, tokens, words]."""
    found = logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return found - logits.logsumexp(-1)


def _groups(policy: torch.nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """The parameters that are trained, those that transformers' trainer lets decay first."""
    decaying = set(Trainer.get_decay_parameter_names(None, policy))
    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for name, each in policy.named_parameters():
        if each.requires_grad:
            groups[name in decaying].append(each)
    return [
        {"params": params, "weight_decay": weight_decay if decays else 0.0}
        for decays, params in groups.items()
        if params
    ]


def _arguments(folder: Path, settings: TrainingSettings, on_cpu: bool) -> TrainingArguments:
    """What transformers makes an optimiser from."""
    return TrainingArguments(
        output_dir=str(folder),
        learning_rate=settings.learning_rate,
        optim=settings.optim,
        weight_decay=settings.weight_decay,
        adam_beta1=settings.adam_beta1,
        adam_beta2=settings.adam_beta2,
        adam_epsilon=settings.adam_epsilon,
        use_cpu=on_cpu,
        report_to="none",
    )
