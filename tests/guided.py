"""As a script it searches the bowls of test_gradient: `guided.py FOLDER METHOD URL`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from analytic import reporting
from test_gradient import Bowl

from dse.search.attach import Attachment
from dse.search.protocol import Evaluations
from dse.search.run import run


class Slow(Bowl):
    """A batch takes a while, so that a death falls between two of them or within one."""

    def evaluate(self, levels: np.ndarray) -> Evaluations:
        time.sleep(0.15)
        return super().evaluate(levels)


def searched(folder: Path, method: str, url: str, *, bowl: Bowl | None = None) -> None:
    """1,500 evaluations of seed 5; prints each reported design where the bowl is `Slow`."""
    tell = reporting(folder) if bowl is not None else None
    problem = bowl or Bowl()
    attached = Attachment(url=url)
    run(problem, method, 1500, 5, folder, batch_size=24, attached=attached, on_progress=tell)


if __name__ == "__main__":
    searched(Path(sys.argv[1]), sys.argv[2], sys.argv[3], bowl=Slow())
