"""Measured collectives: rows become batches, and the shipped stack predicts them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from dse.evidence.collective_rows import FROM_PYTHON, batches
from dse.evidence.measured import Resolver, measured_folder, read_rows
from dse.evidence.prediction import Row, predict
from dse.evidence.validate import SHORT_COLLECTIVE, stacks_of
from dse.spec.catalog import Catalog
from dse.spec.workload import Software

LOG = "public nccl-tests log"


@cache
def resolver() -> Resolver:
    """The shipped catalogue."""
    return Resolver.beside([], Catalog.default())


def row(source: str = LOG, **cells: Any) -> Row:
    """A row of eight H100 that all-reduce 1 GB, some cells replaced."""
    base = {"system": "h100-sxm", "op": "all_reduce", "ranks": "8", "nodes": "1", "bytes": "1e9"}
    text = {key: str(value) for key, value in {**base, **cells}.items()}
    return Row(
        id=text.get("id", "1"),
        table="collective",
        source=source,
        system=text["system"],
        software="nccl",
        cells=text,
        measured={"latency_s": 1.0},
    )


def seconds(*rows: Row) -> np.ndarray:
    """[n] predictions."""
    (batch,), left = batches(rows, resolver())
    assert left == []
    return predict(batch, stacks_of(rows, resolver()))[:, 0]


@cache
def table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measured and predicted seconds of all rows that name NCCL, and their families."""
    file = measured_folder() / "micro_collective.csv"
    rows = [each for each in read_rows([file]) if each.software == "nccl"]
    measured = np.array([each.measured["latency_s"] for each in rows])
    return measured, seconds(*rows), np.array([each.family for each in rows])


def nccl() -> Software:
    return resolver().software("nccl")


def test_every_row_is_predicted() -> None:
    """Of all 578 rows, in one batch, each gets a finite time; systems and collectives are known."""
    rows = read_rows([measured_folder() / "micro_collective.csv"])
    (batch,), left = batches(rows, resolver())
    assert left == []
    assert len(batch.rows) == len(rows)
    assert np.all(np.isfinite(predict(batch, stacks_of(batch.rows, resolver()))))


def test_collectives_above_20_us_are_met() -> None:
    """Mean error at most 15 %, half of the rows within 10 %, little bias."""
    measured, predicted, _ = table()
    long = measured >= SHORT_COLLECTIVE
    error = (predicted / measured - 1.0)[long]
    assert np.mean(np.abs(error)) <= 0.15
    assert np.median(np.abs(error)) <= 0.10
    assert abs(np.mean(error)) <= 0.05


@pytest.mark.parametrize("family", ["a100-40gb", "h100-sxm", "b200"])
def test_no_family_pays_for_the_others(family: str) -> None:
    """The shared numbers stand for A100, H100 and H200, and B200 alike."""
    measured, predicted, families = table()
    long = (measured >= SHORT_COLLECTIVE) & (families == family)
    assert np.mean(np.abs(predicted / measured - 1.0)[long]) <= 0.15


def test_sizes_are_those_of_nccl_tests() -> None:
    """A gather of a buffer takes half an all-reduce of it where the switch does not add."""
    both = [row(system="a100-80gb", op=op, bytes=1e10) for op in ("all_reduce", "all_gather")]
    reduce, gather = seconds(*both)
    own = nccl().own_copy
    assert reduce / gather == pytest.approx((14 + own) / (7 + own), rel=1e-2)


def test_reduction_and_gather_share_a_time() -> None:
    """Each moves (n-1)/n of the whole."""
    gather, scatter = seconds(row(op="all_gather"), row(op="reduce-scatter"))
    assert gather == scatter


def test_notes_name_the_cards_of_a_node() -> None:
    """Eight cards of 200 Gb/s for eight chips: half of the system's 400 Gb/s a chip."""
    far = {"ranks": 16, "nodes": 2, "bytes": 1e11}
    own, half = seconds(row(**far), row(**far, notes="nodes of 8 x 200 Gb/s"))
    bytes_away = 1e11 / 8
    assert half == pytest.approx(bytes_away / (25e9 * 0.9 * nccl().scale_out), rel=0.02)
    assert half > 1.4 * own


def test_servers_are_domains_and_racks_are_one() -> None:
    """Eight ranks of two HGX servers use the network; of two hosts of a rack they do not."""
    one, two = seconds(row(), row(nodes=2))
    assert two > 1.5 * one
    rack = {"system": "gb200", "ranks": 8}
    whole, split = seconds(row(**rack, nodes=""), row(**rack, nodes=2))
    assert whole == split


def test_calls_timed_from_python_wait_for_their_launch() -> None:
    """NCCL without nccl-tests: 20 us more."""
    queued, called = seconds(row(), row(source="a book", notes="nccl 2.27.7"))
    assert called - queued == pytest.approx(FROM_PYTHON, rel=1e-3)


def test_a_message_to_the_neighbour() -> None:
    """send_recv moves its bytes once."""
    (time,) = seconds(row(op="send_recv", ranks=2, bytes=1e10))
    assert time == pytest.approx(1e10 / (450e9 * 0.92 * nccl().network), rel=1e-2)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"op": "broadcast"}, "broadcast"),
        ({"ranks": "many"}, "many"),
        ({"bytes": ""}, "bytes"),
        ({"bytes": "0"}, "bytes"),
        ({"system": "no-such-chip"}, "no-such-chip"),
    ],
)
def test_what_cannot_be_predicted_says_why(cells: dict[str, str], reason: str) -> None:
    """An unknown collective or system and a number that is none; the other rows stay."""
    made, left = batches([row(**cells, id="bad"), row(id="good")], resolver())
    assert [each.id for each in left] == ["bad"]
    assert reason in left[0].reason
    assert [each.id for each in made[0].rows] == ["good"]


def test_no_rows_make_no_batch() -> None:
    """Nothing asked, nothing predicted."""
    assert batches([], resolver()) == ([], [])
