"""An exponential moving average of parameters: what is validated and shipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class MovingAverage:
    """average <- average + (1 - decay_n) (parameter - average), where decay_n = min(decay, (1 + n) / (10 + n)), so that
    the first steps do not weigh for ever.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], *, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.values = [parameter.detach().clone() for parameter in parameters]

    @torch.no_grad()
    def step(self, parameters: Sequence[nn.Parameter]) -> None:
        """Take the parameters of one more training step in."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for value, parameter in zip(self.values, parameters, strict=True):
            value.lerp_(parameter, 1 - decay)

    def copy_to(self, parameters: Sequence[nn.Parameter]) -> None:
        """Put the average in the parameters' place."""
        _copy(self.values, parameters)

    @contextmanager
    def in_place_of(self, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
        """The parameters hold the average inside the block, and their own values again after it."""
        own = [parameter.detach().clone() for parameter in parameters]
        self.copy_to(parameters)
        try:
            yield
        finally:
            _copy(own, parameters)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        _copy(state["values"], self.values)


@torch.no_grad()
def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
