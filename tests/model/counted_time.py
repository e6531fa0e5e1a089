"""A slice whose length is counted in questions, so that where it ends does not depend on the machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from syncmv4d_model.training.time_limit import TimeLimit


@dataclass(frozen=True)
class CountedTime(TimeLimit):
    """Over after so many questions whether it is."""

    questions: int = 0
    asked: list[int] = field(default_factory=list)

    def over(self) -> bool:
        self.asked.append(1)
        return len(self.asked) > self.questions
