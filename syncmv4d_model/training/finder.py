"""How the finder learns: losses, and a loop that can stop at any step and go on with the same result."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from syncmv4d_model.data.atomic import atomic_file
from syncmv4d_model.data.window import OBJECTS, choose_windows
from syncmv4d_model.evaluation.metrics.windows import holds_boxes, side_ratios
from syncmv4d_model.networks.finder import STRIDE, CellAnswers, Finder
from syncmv4d_model.training.average import MovingAverage
from syncmv4d_model.training.finder_data import FinderBatch, FinderViews, pixels_of_objects, vary
from syncmv4d_model.training.time_limit import TimeLimit

STATE_FILE, LOG_FILE = "state.pt", "log.jsonl"
CUT_WEIGHT = 2.0  # an edge that cuts its object weighs so many times one that leaves room
LEAST_SIDE_PX = 12.0  # canvas pixels; errors are measured in sides of the objects' common square
BATCH_STREAM = 7_001
MAX_BAD_STEPS = 5


@dataclass(frozen=True)
class FinderPlan:
    """What decides the result, beside data and seed."""

    steps: int = 8000
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup_steps: int = 200
    ema_decay: float = 0.998
    gradient_clip: float = 5.0


Report = Callable[[int, dict[str, float]], None]
"""Called as report(step, figures) every `log_every` steps, and with the validation's figures at every save."""


def train_finder(
    finder: Finder,
    views: FinderViews,
    plan: FinderPlan,
    *,
    run_dir: Path,
    seed: int,
    limit: TimeLimit,
    report: Report,
    validation: FinderViews | None = None,
    save_every: int = 300,
    log_every: int = 25,
) -> int:
    """Train, continuing the run that `run_dir` holds; returns the steps done, fewer than planned when the limit is over.

    The finder ends with the averaged weights, and with a state to go on from in `run_dir`. Every step's views and noise
    depend on (seed, step) alone: stopping and resuming changes nothing. FloatingPointError after MAX_BAD_STEPS steps in
    a row whose loss or gradient is not finite.
    """
    run = _Run(finder, plan, run_dir / STATE_FILE)
    sums, since = Counter[str](), run.step
    finder.train()
    while run.step < plan.steps and not limit.over():
        sums.update(run.take_step(views, seed))
        if run.step % log_every == 0:
            _log(run_dir, run.step, {name: value / (run.step - since) for name, value in sums.items()}, report)
            sums, since = Counter[str](), run.step
        if run.step % save_every == 0:
            run.save()
            if validation is not None:
                with run.average.in_place_of(run.parameters):
                    _log(run_dir, run.step, validate(finder, validation), report)
    run.save()
    run.average.copy_to(run.parameters)
    finder.eval()
    return run.step


class _Run:
    """Weights, optimizer, average and position."""

    def __init__(self, finder: Finder, plan: FinderPlan, path: Path):
        self.finder, self.plan, self.path = finder, plan, path
        self.parameters = list(finder.parameters())
        self.optimizer = torch.optim.AdamW(_group(finder, plan), lr=plan.learning_rate, betas=(0.9, 0.98))
        self.average = MovingAverage(self.parameters, decay=plan.ema_decay)
        self.step, self.bad_steps = 0, 0
        if path.exists():
            stored: dict[str, Any] = torch.load(path, weights_only=True)
            finder.load_state_dict(stored["finder"])
            self.optimizer.load_state_dict(stored["optimizer"])
            self.average.load_state_dict(stored["average"])
            self.step = stored["step"]

    def save(self) -> None:
        """Write the state, whole or not at all."""
        parts = {"finder": self.finder, "optimizer": self.optimizer, "average": self.average}
        with atomic_file(self.path) as partial:
            torch.save({"step": self.step} | {name: part.state_dict() for name, part in parts.items()}, partial)

    def take_step(self, views: FinderViews, seed: int) -> dict[str, float]:
        """One step; its loss terms."""
        plan = self.plan
        for group in self.optimizer.param_groups:
            group["lr"] = plan.learning_rate * schedule(self.step, plan)
        generator = torch.Generator().manual_seed(
            int(np.random.default_rng([seed, BATCH_STREAM, self.step]).integers(2**62))
        )
        statistics = [buffer.clone() for buffer in self.finder.buffers()]
        batch = vary(views, torch.randint(len(views), (plan.batch,), generator=generator), generator)
        terms = find_losses(self.finder(batch.colour, batch.inside(), batch.ids), batch)
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, plan.gradient_clip)
        if torch.isfinite(norm) and torch.isfinite(loss):
            self.optimizer.step()
            self.average.step(self.parameters)
            self.bad_steps = 0
        else:
            self.bad_steps += 1
            for buffer, before in zip(self.finder.buffers(), statistics, strict=True):
                buffer.copy_(before)  # batch statistics of what was not finite
            if self.bad_steps >= MAX_BAD_STEPS:
                raise FloatingPointError(f"{self.bad_steps} steps in a row without a finite loss, at {self.step}")
        self.step += 1
        return {name: value.item() for name, value in terms.items()}


def _group(finder: Finder, plan: FinderPlan) -> list[dict[str, Any]]:
    """Matrices decay, vectors do not."""
    parameters = list(finder.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": plan.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def schedule(step: int, plan: FinderPlan) -> float:
    """Learning-rate factor: linear warm-up, then a half cosine to a hundredth."""
    if step < plan.warmup_steps:
        return (step + 1) / plan.warmup_steps
    progress = (step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def find_losses(answers: CellAnswers, batch: FinderBatch) -> dict[str, Tensor]:
    """Loss terms: which cells, their edges, the boxes' edges and overlap, presence.

    Edges are measured in sides of the square about the view's objects, as the window is.
    """
    seen = batch.boxes.isfinite().all(-1)
    truth = batch.boxes.nan_to_num(0.0)
    share = F.avg_pool2d(pixels_of_objects(batch.mask, batch.boxes).float(), STRIDE)
    wanted = (3 * share).clamp(max=1)  # a thin tool fills no cell
    side = _common_side(batch.boxes)[:, None, None]
    cells = F.binary_cross_entropy_with_logits(answers.logits, wanted, reduction="none")
    cells = cells * (answers.logits.sigmoid() - wanted).detach().square()
    of_cells = _edge_errors(answers.edges, truth[..., None, None], side[..., None, None]).mean(2)
    of_boxes = _edge_errors(answers.boxes, truth, side).mean(-1)
    present = F.binary_cross_entropy_with_logits(answers.presence, seen.float())
    return {
        "cells": cells.sum() / wanted.sum().clamp(min=1),
        "cell_edges": (of_cells * wanted).sum() / wanted.sum().clamp(min=1),
        "box_edges": 2 * (of_boxes * seen).sum() / seen.sum().clamp(min=1),
        "overlap": 0.5 * ((1 - overlap(answers.boxes, truth)) * seen).sum() / seen.sum().clamp(min=1),
        "presence": present,
    }


def _common_side(boxes: Float[Tensor, "B 3 4"]) -> Float[Tensor, "B"]:
    low = boxes[..., :2].nan_to_num(torch.inf).amin(1)
    high = boxes[..., 2:].nan_to_num(-torch.inf).amax(1)
    side = (high - low).amax(-1)
    return torch.where(side.isfinite(), side, 0.0).clamp(min=LEAST_SIDE_PX)


def _edge_errors(edges: Tensor, truth: Tensor, side: Tensor) -> Tensor:
    """|edge - truth| in sides, more where the object is cut. Edges along axis 2."""
    sign = edges.new_tensor([1.0, 1.0, -1.0, -1.0]).view(4, *[1] * (edges.dim() - 3))
    error = sign * (edges - truth) / side  # positive: inside the object
    return torch.where(error > 0, CUT_WEIGHT * error, -error)


def overlap(boxes: Float[Tensor, "*n 4"], truth: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Generalised intersection over union (Rezatofighi et al. 2019), -1 to 1."""
    low, high = torch.maximum(boxes[..., :2], truth[..., :2]), torch.minimum(boxes[..., 2:], truth[..., 2:])
    around_low = torch.minimum(boxes[..., :2], truth[..., :2])
    around_high = torch.maximum(boxes[..., 2:], truth[..., 2:])
    common = _area(low, high)
    union = _area(boxes[..., :2], boxes[..., 2:]) + _area(truth[..., :2], truth[..., 2:]) - common
    around = _area(around_low, around_high)
    return common / union.clamp(min=1e-3) - (around - union) / around.clamp(min=1e-3)


def _area(low: Float[Tensor, "*n 2"], high: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n"]:
    return (high - low).clamp(min=0).prod(-1)


@torch.no_grad()
def validate(finder: Finder, views: FinderViews, *, batch: int = 64) -> dict[str, float]:
    """Share of views whose objects their window holds, its side over the tightest, and correct presences, on the canvas."""
    finder.eval()
    held, ratios, right = [], [], []
    for index in torch.arange(len(views)).split(batch):
        part = views.take(index)
        answers = finder(part.colour, part.inside(), part.ids)
        found = answers.presence.sigmoid() >= finder.config.threshold
        boxes = torch.where(found[..., None], answers.boxes, torch.nan).numpy()
        sizes = [(finder.config.canvas_width, finder.config.canvas_height)] * len(index)
        windows, truth = choose_windows(boxes, sizes), part.boxes.numpy()
        held.append(holds_boxes(windows, truth))
        ratios.append(side_ratios(windows, truth))
        right.append((found == part.boxes.isfinite().all(-1)).numpy())
    finder.train()
    presence = {f"{name}_right": float(np.concatenate(right)[:, i].mean()) for i, name in enumerate(OBJECTS)}
    return {
        "contained": float(np.concatenate(held).mean()),
        "side_ratio": float(np.nanmedian(np.concatenate(ratios))),
    } | presence


def _log(run_dir: Path, step: int, figures: dict[str, float], report: Report) -> None:
    known = {name: value if math.isfinite(value) else None for name, value in figures.items()}  # JSON has no NaN
    with (run_dir / LOG_FILE).open("a") as file:
        file.write(json.dumps({"step": step} | known) + "\n")
    report(step, figures)
