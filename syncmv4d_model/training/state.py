"""What a training run must remember to continue exactly where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from syncmv4d_model.checkpoint import Components
from syncmv4d_model.data.atomic import atomic_file
from syncmv4d_model.networks.initialisation import is_added
from syncmv4d_model.networks.joint_denoiser import JointDenoiser
from syncmv4d_model.training.average import MovingAverage
from syncmv4d_model.training.stages import Stage


@dataclass
class StageState:
    """Optimizer, average and position of one running stage."""

    stage_index: int
    step: int
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    average: MovingAverage

    @classmethod
    def start(cls, components: Components, stage: Stage, stage_index: int) -> StageState:
        """A fresh state; freezes every parameter that the stage does not train."""
        for part in components.networks().values():
            part.requires_grad_(False)
        parameters = [parameter for module in stage.modules for parameter in module.parameters()]
        for parameter in parameters:
            parameter.requires_grad_(True)
        plan = stage.plan
        optimizer = torch.optim.AdamW(
            _groups(stage), lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=plan.weight_decay
        )
        average = MovingAverage(parameters, decay=plan.ema_decay)
        return cls(stage_index, 0, parameters, optimizer, average)


def _groups(stage: Stage) -> list[dict[str, object]]:
    """Parameter groups, each with its peak learning rate; only what Wan has may learn slower than the rest."""
    plan, slow, fast = stage.plan, [], []
    for module in stage.modules:
        for name, parameter in module.named_parameters():
            from_wan = isinstance(module, JointDenoiser) and not is_added(name)
            (slow if from_wan else fast).append(parameter)
    peaks = (plan.learning_rate, plan.new_module_learning_rate or plan.learning_rate)
    return [{"params": part, "peak": peak} for part, peak in zip((slow, fast), peaks, strict=True) if part]


def save_state(path: Path, components: Components, state: StageState) -> None:
    """Write the run's state, whole or not at all."""
    _write(
        path,
        {
            "stage_index": state.stage_index,
            "step": state.step,
            "networks": _network_states(components),
            "optimizer": state.optimizer.state_dict(),
            "average": state.average.state_dict(),
        },
    )


def save_start(path: Path, components: Components, stage_index: int) -> None:
    """Leave a state that says: this stage, step 0, these weights."""
    _write(path, {"stage_index": stage_index, "step": 0, "networks": _network_states(components)})


def restore_networks(path: Path, components: Components) -> None:
    """Load the weights that a state holds."""
    stored = _read(path)
    for name, part in components.networks().items():
        if name in stored["networks"]:
            part.load_state_dict(stored["networks"][name])


def restore_position(path: Path, components: Components, state: StageState) -> StageState:
    """Load weights, optimizer, average and step of the same stage into a fresh state; one that has only begun stays as it is."""
    stored = _read(path)
    if "optimizer" in stored:
        restore_networks(path, components)
        state.step = stored["step"]
        state.optimizer.load_state_dict(stored["optimizer"])
        state.average.load_state_dict(stored["average"])
    return state


def stored_stage(path: Path) -> int:
    """Index of the stage that a state belongs to; -1 where there is none."""
    return _read(path)["stage_index"] if path.exists() else -1


def _network_states(components: Components) -> dict[str, dict[str, Tensor]]:
    return {name: part.state_dict() for name, part in components.networks().items() if name != "codec"}


def _read(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True, map_location="cpu")  # data only: no code is unpickled


def _write(path: Path, stored: dict[str, Any]) -> None:
    with atomic_file(path) as partial:
        torch.save(stored, partial)
