"""Busy waits: a thread polls a counter in memory until it changes, with the GIL released.

A sleeping thread takes up to 0.1 ms to wake; a polling thread sees a change at once.
The counters are int64 arrays of one entry.
"""

# mypy: disable-error-code="no-untyped-call"
# (Numba's intrinsics are only partly typed, its other functions not at all)

import platform

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


@intrinsic
def _read(typing_context, count):  # type: ignore[no-untyped-def]
    """Load a counter atomically (acquire order); the compiler may not reuse an earlier load."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(data, "acquire", 8)

    return types.int64(count), generate


@intrinsic
def _increase(typing_context, count):  # type: ignore[no-untyped-def]
    """Add one to a counter atomically (release order); return its value before."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", data, one, "release")

    return types.int64(count), generate


@intrinsic
def _pause(typing_context):  # type: ignore[no-untyped-def]
    """Leave the core to its other hardware thread for about 20 ns on x86-64; else do nothing."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        if platform.machine().lower() in ("x86_64", "amd64"):
            kind = ir.FunctionType(ir.VoidType(), ())
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), ())
        return context.get_dummy_value()

    return types.void(), generate


@njit(cache=True, nogil=True)
def linger(done, posted, seen, turns, delay):  # type: ignore[no-untyped-def]
    """Add one to ``done``, then wait until ``posted`` is no longer ``seen``.

    Return ``delay`` pauses after a change, or after ``turns`` reads without a change.
    """
    _increase(done)
    for _ in range(turns):
        if _read(posted) != seen:
            for _ in range(delay):
                _pause()
            return
        _pause()


@njit(cache=True, nogil=True)
def await_count(done, wanted, turns):  # type: ignore[no-untyped-def]
    """Wait until ``done`` reaches ``wanted``; give up after ``turns`` reads."""
    for _ in range(turns):
        if _read(done) >= wanted:
            return
        _pause()
