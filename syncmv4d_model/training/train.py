"""The training loop: one function, every stage."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from syncmv4d_model.checkpoint import Components
from syncmv4d_model.data.loader import LatentCache
from syncmv4d_model.training.kept_samples import KeptSamples
from syncmv4d_model.training.plan import StagePlan, TrainingPlan
from syncmv4d_model.training.stages import Stage, make_stage
from syncmv4d_model.training.state import (
    StageState,
    restore_networks,
    restore_position,
    save_start,
    save_state,
    stored_stage,
)
from syncmv4d_model.training.time_limit import TimeLimit

MAX_BAD_STEPS = 5
_Batch = TypeVar("_Batch")


@dataclass(frozen=True)
class RunOptions:
    """How a run uses its machine; none of it changes what is learned, but for rounding in bf16."""

    bf16: bool = False
    compile: bool = False
    gradient_checkpointing: bool = False
    device: str = "cpu"
    save_every: int = 250
    log_every: int = 20
    limit: TimeLimit = field(default_factory=TimeLimit)


Report = Callable[[str, int, dict[str, float]], None]
"""Called as report(stage, step, figures) every log_every steps."""

Validate = Callable[[str, int], dict[str, float]]
"""Called as validate(stage, step) whenever the state is saved; its figures are logged."""


def train(
    components: Components,
    cache: LatentCache,
    plan: TrainingPlan,
    *,
    run_dir: Path,
    seed: int,
    options: RunOptions,
    report: Report,
    validate: Validate | None = None,
) -> None:
    """Run the plan's stages in order, continuing a run that `run_dir` holds; `components` end with the averaged weights.

    Every step's data and noise depend on (seed, step) alone: stopping and resuming changes nothing.
    Raises OutOfTime, its state saved, when the options' limit is over, and FloatingPointError after MAX_BAD_STEPS steps in
    a row whose loss or gradient is not finite.
    """
    start_path, state_path = run_dir / "start.pt", run_dir / "state.pt"
    first_stage = max(0, stored_stage(start_path), stored_stage(state_path))
    components.to(options.device)
    components.joint_denoiser.gradient_checkpointing = options.gradient_checkpointing
    if options.compile:
        components.joint_denoiser.compile_blocks()
    for index, stage_plan in enumerate(plan.stages[first_stage:], start=first_stage):
        stored = [path for path in (start_path, state_path) if index == first_stage == stored_stage(path)]
        if stored and index:  # what a stage first samples or measures depends on the weights that it began with
            restore_networks(stored[0], components)
        kept = KeptSamples(run_dir / "sampled" / f"{index + 1}_{stage_plan.stage}", options.limit, options.device)
        stage = make_stage(components, cache, stage_plan, seed=seed + index, kept=kept)
        state = StageState.start(components, stage, index)
        if state_path in stored:
            state = restore_position(state_path, components, state)
        log = _Log(run_dir / "log.jsonl", stage_plan.stage, options.log_every, report)
        _run_stage(components, stage, state, state_path, seed, options, log, validate)
        state.average.copy_to(state.parameters)
        components.eval()
        if index + 1 < len(plan.stages):
            save_start(start_path, components, index + 1)
            shutil.rmtree(kept.folder, ignore_errors=True)


def _run_stage(
    components: Components,
    stage: Stage,
    state: StageState,
    state_path: Path,
    seed: int,
    options: RunOptions,
    log: _Log,
    validate: Validate | None,
) -> None:
    plan, bad_steps = stage.plan, 0
    device_type = torch.device(options.device).type
    for batch in drawn_ahead(stage.batches(state.step)):
        if state.step >= plan.steps:
            return
        if options.limit.over():
            save_state(state_path, components, state)
            options.limit.check(f"{plan.stage}: {state.step:,} of {plan.steps:,} steps")
        for group in state.optimizer.param_groups:
            group["lr"] = group["peak"] * schedule(state.step, plan)
        generator = step_generator(seed, state.stage_index, state.step)
        with torch.autocast(device_type, torch.bfloat16, enabled=options.bf16):
            terms = stage.losses(batch, generator)
            loss = torch.stack(list(terms.values())).sum()
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(state.parameters, plan.gradient_clip)
        if torch.isfinite(norm) and torch.isfinite(loss):
            state.optimizer.step()
            state.average.step(state.parameters)
            bad_steps = 0
        else:
            bad_steps += 1
            if bad_steps >= MAX_BAD_STEPS:
                raise FloatingPointError(
                    f"{plan.stage}: {bad_steps} steps in a row without a finite loss, at {state.step}"
                )
        state.step += 1
        log.step(state.step, terms, norm)
        if state.step % options.save_every == 0 or state.step == plan.steps:
            save_state(state_path, components, state)
            if validate is not None:
                with state.average.in_place_of(state.parameters):
                    figures = validate(plan.stage, state.step)
                log.figures(state.step, figures)
    raise AssertionError("batches are endless")


def drawn_ahead(batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """The same batches, each read from disk while the step before it is computed."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        following = reader.submit(next, batches)
        while True:
            batch = following.result()
            following = reader.submit(next, batches)
            yield batch


def step_generator(seed: int, stage_index: int, step: int) -> torch.Generator:
    """Times and noise of one training step."""
    (state,) = np.random.SeedSequence([seed, stage_index, step]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state >> 1))


def schedule(step: int, plan: StagePlan) -> float:
    """Learning-rate factor: linear warm-up, one, then a half cosine to zero over the last `decay_share`."""
    if step < plan.warmup_steps:
        return (step + 1) / plan.warmup_steps
    decay = max(1.0, plan.decay_share * (plan.steps - plan.warmup_steps))
    progress = 1 - (plan.steps - step) / decay
    return 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress))))


class _Log:
    """Means of the loss terms since the last line, to a JSON-lines file and to the caller."""

    def __init__(self, path: Path, stage: str, every: int, report: Report) -> None:
        self.path, self.stage, self.every, self.report = path, stage, every, report
        self.sums: dict[str, float] = {}
        self.count = 0
        self.since = time.monotonic()

    def step(self, step: int, terms: dict[str, Tensor], norm: Tensor) -> None:
        for name, value in (*terms.items(), ("gradient_norm", norm)):
            self.sums[name] = self.sums.get(name, 0.0) + value.item()
        self.count += 1
        if step % self.every == 0:
            figures = {name: total / self.count for name, total in self.sums.items()}
            figures["seconds_per_step"] = (time.monotonic() - self.since) / self.count
            self.figures(step, figures)
            self.sums, self.count, self.since = {}, 0, time.monotonic()

    def figures(self, step: int, figures: dict[str, float]) -> None:
        known = {name: value if math.isfinite(value) else None for name, value in figures.items()}  # JSON has no NaN
        with self.path.open("a") as file:
            file.write(json.dumps({"stage": self.stage, "step": step} | known) + "\n")
        self.report(self.stage, step, figures)
