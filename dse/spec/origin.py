"""Which line of which file gives a leaf its value, through references, bases and `--set`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from dse.spec.catalog import Catalog
from dse.spec.document import Document, Origin, Path, based, lay_all, read, spec_name, value_at
from dse.spec.fields import KINDS, Branch, fields_of
from dse.spec.load import given
from dse.spec.values import is_free


class Origins:
    """Where the leaves of one spec stand: of the spec `load` gives for the same arguments."""

    def __init__(
        self, kind: str, name: str, catalog: Catalog, settings: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._catalog = catalog
        # faults of the settings are those of `load`, which has raised them
        self._document = lay_all(read(kind, name, catalog), given(settings), [])

    def of(self, path: str) -> Origin:
        """File and line of the key that sets a leaf, or of the nearest table above a default."""
        return _origin(self._document, tuple(path.split(".")), self._catalog)


def _origin(document: Document, path: Path, catalog: Catalog) -> Origin:
    cls = KINDS[document.kind]
    for depth, name in enumerate(path[:-1], start=1):
        meta = fields_of(cls)[name]
        if not isinstance(meta, Branch):
            break
        if meta.named:
            inner = _referred(document, path[:depth], meta, catalog)
            return _origin(inner, path[depth:], catalog) if inner else document.origin(path)
        cls = meta.of
    return document.origin(path)


def _referred(document: Document, path: Path, meta: Branch, catalog: Catalog) -> Document | None:
    """The document that a reference leads to; None where it is absent or a choice of several."""
    raw, kind = value_at(document.data, path), cast(Any, meta.of).kind
    if isinstance(raw, str):
        return read(kind, spec_name(raw), catalog)
    if isinstance(raw, Mapping) and not is_free(raw):
        return based(document.inline(kind, path, raw), catalog)
    return None
