"""What every command checks of its numbers before it starts."""

from __future__ import annotations

from collections.abc import Mapping


def check_least(options: object, least: Mapping[str, float]) -> None:
    """ValueError naming the first option that is below its least or not a number; None was not asked for."""
    for name, bound in least.items():
        value = getattr(options, name)
        if value is not None and not value >= bound:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {bound:g}, got {value}")
