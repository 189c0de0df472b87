"""Waits that keep a thread awake: for a count in memory to change, with the GIL released.

A thread that sleeps takes up to 0.1 ms to wake, one that reads a number over and over
notices at once. The counts are int64 arrays of one entry.
"""

# mypy: disable-error-code="no-untyped-call"
# (an intrinsic's type says that it returns something, not what; the rest has no types at all)

import platform

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


@intrinsic
def _read(typing_context, count):  # type: ignore[no-untyped-def]
    """A count as it is now, though nothing here changes it."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(data, "acquire", 8)

    return types.int64(count), generate


@intrinsic
def _increase(typing_context, count):  # type: ignore[no-untyped-def]
    """Add one to a count to which other threads add too; return what it was."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", data, one, "release")

    return types.int64(count), generate


@intrinsic
def _pause(typing_context):  # type: ignore[no-untyped-def]
    """Leave a core to its other threads for some 20 ns; on x86-64 alone, else nothing."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        if platform.machine().lower() in ("x86_64", "amd64"):
            kind = ir.FunctionType(ir.VoidType(), ())
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), ())
        return context.get_dummy_value()

    return types.void(), generate


@njit(cache=True, nogil=True)
def linger(done, posted, seen, turns, delay):  # type: ignore[no-untyped-def]
    """Add one to ``done``, then wait until ``posted`` is no longer ``seen``.

    It gives up after ``turns`` reads, and returns ``delay`` turns after a change.
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
    """Wait until ``done`` has come to ``wanted``; give up after ``turns`` reads."""
    for _ in range(turns):
        if _read(done) >= wanted:
            return
        _pause()
