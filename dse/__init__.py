"""Design-space explorer for AI accelerators.

The commands are functions, too: dse.eval, dse.compare, dse.sensitivity, dse.run, dse.front and
dse.explain (see dse.api).
"""

import importlib
import os
from typing import Any

# XLA logs an error at each tuning flag of its own that the processor does not list; it reads this
# when it is first imported, which any module of this package may do.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# OpenBLAS is read when numpy is first imported. On the small matrices of a search its threads wait
# for each other tenfold longer than they work, and their number would change the last digits.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"

_FUNCTIONS = {
    "eval": "evaluate",
    "compare": "compare",
    "sensitivity": "sensitivity",
    "run": "run",
    "front": "front",
    "explain": "explain",
}
"""Commands by the name of their function in dse.api."""


def __getattr__(name: str) -> Any:
    # imported when asked for: the command line starts without the model
    if name in _FUNCTIONS:
        return getattr(importlib.import_module("dse.api"), _FUNCTIONS[name])
    raise AttributeError(f"module 'dse' has no attribute {name!r}")
