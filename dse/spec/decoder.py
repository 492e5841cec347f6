"""Where the answers of a workload are decoded, when another system reads its prompts."""

from __future__ import annotations

from collections.abc import Iterable

from dse.errors import Finding, SpecError
from dse.spec.catalog import Catalog
from dse.spec.load import load
from dse.spec.space import fixed
from dse.spec.system import System
from dse.spec.workload import SAME, Workload

PHASES = ("decode", "serve")
"""Phases that decode."""


def decoder(
    workload: Workload,
    catalog: Catalog,
    name: str = "",
    settings: Iterable[tuple[str, str]] = (),
) -> System | str | None:
    """The system that decodes: of `name`, else of the workload's `decode_system`.

    None where neither names one; SAME for as many chips of the design that reads as the split
    wants. SpecError for a name that no system has, or a workload of another phase that names one.
    """
    asked = name or workload.decode_system
    if not asked:
        return None
    if not name and workload.phase not in PHASES:
        message = f"{workload.name or 'the workload'} is of phase {workload.phase}"
        raise SpecError(
            Finding(
                message=f"{message}, which decodes nothing",
                path="decode_system",
                expected=f"phase {' or '.join(PHASES)}, or no decode_system",
            )
        )
    return SAME if asked == SAME else fixed(load(System, asked, catalog, settings))
