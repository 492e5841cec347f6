"""Rows of level indices: their keys, their numbers in the space, and ways to draw them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def keys(levels: np.ndarray) -> list[bytes]:
    """A hashable key for each row of [n, p] level indices."""
    return [row.tobytes() for row in np.ascontiguousarray(levels, dtype=np.int64)]


def rows(found: Iterable[bytes], width: int) -> np.ndarray:
    """The [n, p] level indices of keys, p being `width`."""
    listed = list(found)
    return np.frombuffer(b"".join(listed), dtype=np.int64).reshape(len(listed), width)


def decode(codes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The level indices [n, p] of mixed radix numbers [n]; the last parameter turns fastest."""
    levels = np.empty((len(codes), len(sizes)), dtype=np.int64)
    rest = np.asarray(codes, dtype=np.int64)
    for position in reversed(range(len(sizes))):
        rest, levels[:, position] = np.divmod(rest, sizes[position])
    return levels


def encode(levels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The mixed radix numbers [n] of level indices [n, p]; the space must be below 2 ** 63."""
    codes = np.zeros(len(levels), dtype=np.int64)
    for position, size in enumerate(sizes):
        codes = codes * size + levels[:, position]
    return codes


def spread(count: int, sizes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """[count, p] random designs in which each level of a parameter is as frequent as the next."""
    levels = np.empty((count, len(sizes)), dtype=np.int64)
    for position, size in enumerate(sizes):
        offset = random.integers(0, size)
        levels[:, position] = random.permutation((np.arange(count) + offset) % size)
    return levels


def neighbour(
    row: np.ndarray, sizes: np.ndarray, ordered: Sequence[bool], random: np.random.Generator
) -> np.ndarray:
    """The row [p] with one parameter moved: to the level above or below, or to another name."""
    free = np.flatnonzero(sizes > 1)
    if len(free) == 0:
        return row
    position = int(random.choice(free))
    size, level = int(sizes[position]), int(row[position])
    if ordered[position]:
        step = 1 if random.random() < 0.5 else -1
        moved = level + step if 0 <= level + step < size else level - step
    else:
        moved = (level + int(random.integers(1, size))) % size
    changed = row.copy()
    changed[position] = moved
    return changed
