"""Which stack and which version a row's software is, as the bases of software files say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from dse.evidence.measured import Resolver
from dse.evidence.prediction import Row
from dse.spec.catalog import head
from dse.spec.fields import Branch, Leaf, fields_of
from dse.spec.workload import Software

FITTED = "fitted"
"""How the source of a fitted number begins."""


@attrs.define(slots=False)
class Lineage:
    """Stacks by name, and the versions whose files are based on one of them."""

    names: Sequence[str]
    resolver: Resolver
    _paths: dict[str, list[str]] = attrs.field(factory=dict)

    @cached_property
    def files(self) -> dict[str, dict[str, Any]]:
        """The content of every software file, by name."""
        found = self.resolver.catalog.entries
        return {entry.name: head(entry.file) for entry in found if entry.kind == "software"}

    def path(self, software: str) -> list[str]:
        """Files from the one that stands for `software` to its stack's; empty for other stacks."""
        if software not in self._paths:
            made, at = [], self.resolver.software(software).name
            while at in self.files and at not in made:
                made.append(at)
                if at in self.names:
                    break
                at = str(self.files[at].get("base", ""))
            self._paths[software] = made if made and made[-1] in self.names else []
        return self._paths[software]

    def stack(self, row: Row) -> str:
        """The stack that a row is of."""
        return self.path(row.software)[-1]

    def version(self, row: Row) -> str:
        """The version with a maturity of its own; empty where that is the stack's."""
        versions = self.path(row.software)[:-1]
        return next((name for name in versions if "maturity" in self.files[name]), "")

    def elder(self, version: str) -> str:
        """The version that a version's file has as its base, where that has a maturity too."""
        versions = self.path(version)[1:-1]
        return next((name for name in versions if "maturity" in self.files[name]), "")

    def facts(self, row: Row) -> Mapping[str, float]:
        """What a version and its stack say of themselves: no fit changes it."""
        path = self.path(row.software)
        spec = self.resolver.software(row.software)
        names = {name for file in path for name in self.said(file)} - {"maturity"}
        return {name: float(getattr(spec, name)) for name in sorted(names)}

    def said(self, name: str) -> dict[str, Any]:
        """Fields that a file sets, as it writes them, fitted numbers apart."""
        data = self.files.get(name, {})
        fitted = {key for key, source in self.sources(name).items() if _is_fit(source)}
        leaves = {key for key, leaf in fields_of(Software).items() if not _is_text(leaf)}
        return {key: value for key, value in data.items() if key in leaves - fitted}

    def sources(self, name: str) -> dict[str, Any]:
        """The sources that a file gives."""
        return dict(self.files.get(name, {}).get("sources", {}))


def _is_text(leaf: Leaf | Branch) -> bool:
    return isinstance(leaf, Leaf) and leaf.sort == "text"


def _is_fit(source: Any) -> bool:
    return isinstance(source, Mapping) and str(source.get("ref", "")).startswith(FITTED)
