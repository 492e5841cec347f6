"""Compiled programs, kept between runs in the user's cache folder.

Two things are kept: the traced program (so that a warm start need not trace) under a hash of this
package's source, and XLA's machine code under XLA's own key. A folder belongs to one processor
type, because machine code of another may not run. Without a writable folder nothing is kept.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.export

from dse.model.once import once

FAST = {
    "xla_cpu_enable_fast_math": True,
    "xla_cpu_fast_math_honor_infs": True,
    "xla_cpu_fast_math_honor_nans": True,
    "xla_cpu_fast_math_honor_division": True,
    "xla_cpu_fast_math_honor_functions": True,
}
"""What XLA may do to a program that only compares designs: fuse multiplications with additions and
reorder sums, which takes a third off a search and moves its values by some 4e-7. Infinities, NaNs,
divisions and functions stay as they are."""

_PACKAGE = Path(__file__).resolve().parent.parent


def program(
    name: str, function: Callable[..., Any], options: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """`function` compiled on first use, with what a former run left in the cache.

    All calls must have arguments of the same structure, shapes and types. `options` are XLA's.
    """
    ready: list[Callable[..., Any]] = []

    def call(*arguments: Any) -> Any:
        if not ready:
            ready.append(_prepared(name, function, arguments, dict(options or {})))
        return ready[0](*arguments)

    return call


def _prepared(
    name: str, function: Callable[..., Any], arguments: Any, options: dict[str, Any]
) -> Callable[..., Any]:
    folder = cache_folder()
    if folder is None:
        return jax.jit(once(function), compiler_options=options)
    leaves, structure = jax.tree.flatten(arguments)
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves]  # type: ignore[no-untyped-call]
    key = hashlib.sha256(f"{source_hash()} {shapes} {structure}".encode()).hexdigest()[:24]
    file = folder / f"{name}-{key}.stablehlo"
    exported = _kept(file)
    if exported is None:
        exported = jax.export.export(jax.jit(once(function)))(
            *jax.tree.unflatten(structure, shapes)
        )
        _keep(file, bytes(exported.serialize()))
    return jax.jit(exported.call, compiler_options=options)


def _kept(file: Path) -> Any:
    try:
        return jax.export.deserialize(bytearray(file.read_bytes()))
    except FileNotFoundError:
        return None
    except Exception:  # a damaged cache file of any kind is made anew
        return None


def _keep(file: Path, content: bytes) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
            part.write(content)
        os.replace(part.name, file)
    except OSError:
        return


@cache
def cache_folder() -> Path | None:
    """The folder that holds compiled programs, or None where there cannot be one."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(home) / "dse" / f"jax-{jax.__version__}-{_processor()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)  # type: ignore[no-untyped-call]
    return folder


def _processor() -> str:
    """A short name of this processor's instruction set."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        flags = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        flags = platform.processor()
    return hashlib.sha256((platform.machine() + flags).encode()).hexdigest()[:12]


@cache
def source_hash() -> str:
    """A hash of all source that a traced program may come from."""
    files = sorted(file for room in ("spec", "model") for file in (_PACKAGE / room).glob("*.py"))
    content = hashlib.sha256(jax.__version__.encode())
    for file in files:
        content.update(file.read_bytes())
    return content.hexdigest()


def register(*types: type) -> None:
    """Let named tuples stand in the arguments and results of kept programs."""
    for each in types:
        jax.export.register_namedtuple_serialization(each, serialized_name=each.__qualname__)
