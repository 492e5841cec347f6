"""Design-space explorer for AI accelerators."""

import os

# XLA logs an error at each tuning flag of its own that the processor does not list; it reads this
# when it is first imported, which any module of this package may do.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# OpenBLAS is read when numpy is first imported. On the small matrices of a search its threads wait
# for each other tenfold longer than they work, and their number would change the last digits.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
