"""How many designs a run decided, and how: evaluated, or ruled out before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Counts:
    """Whole numbers of designs, exact at any size.

    `pruned` counts, by the first rule that ruled them out, designs that were not evaluated.
    `broken` counts the designs, pruned ones included, that are known to break each rule: one that
    was pruned may break more. `pairs` counts designs with each of their legal mappings, where all
    of them were kept apart.
    """

    evaluated: int = 0
    feasible: int = 0
    pruned: Mapping[str, int] = attrs.field(factory=dict)
    broken: Mapping[str, int] = attrs.field(factory=dict)
    pairs: int = 0

    @property
    def ruled_out(self) -> int:
        """Designs that were pruned, by any rule."""
        return sum(self.pruned.values())

    @property
    def decided(self) -> int:
        """Designs evaluated or pruned."""
        return self.evaluated + self.ruled_out

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            evaluated=self.evaluated + other.evaluated,
            feasible=self.feasible + other.feasible,
            pruned=_sum(self.pruned, other.pruned),
            broken=_sum(self.broken, other.broken),
            pairs=self.pairs + other.pairs,
        )

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Counts:
        """The counts of a parsed log line; raises KeyError, TypeError or ValueError."""
        made = cls(
            evaluated=int(data["evaluated"]),
            feasible=int(data["feasible"]),
            pruned={str(rule): int(count) for rule, count in data["pruned"].items()},
            broken={str(rule): int(count) for rule, count in data["broken"].items()},
            pairs=int(data.get("pairs", 0)),
        )
        numbers = (
            made.evaluated,
            made.feasible,
            made.pairs,
            *made.pruned.values(),
            *made.broken.values(),
        )
        if min(numbers) < 0 or made.feasible > made.evaluated:
            raise ValueError("its counts contradict each other")
        return made


def _sum(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    total = Counter(first)
    total.update(second)
    return dict(total)
