"""bidual backends: list the backends, their versions, and the programs that each accepts."""

import argparse
from collections.abc import Iterator
from typing import Any

from .. import BACKENDS, LOSSES, PENALTIES
from .tiny import tiny_program

_SHOWN = {
    (True, True): "yes",
    (True, False): "one",
    (False, False): "-",
}


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "backends",
        help="list the backends: version, readiness, accepted programs",
        description=(
            "Lists every backend with its version. If a backend is not ready on this machine, the "
            "list says what to do. A grid then shows which losses and penalties each backend "
            "accepts, with and without an intercept, for one output and for several. The lines "
            "below the grid give the reason of each refusal."
        ),
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    print(f"{'backend':<9} {'version':<9} ready")
    for name, backend in BACKENDS.items():
        missing = backend.available()
        print(f"{name:<9} {backend.version or '-':<9} {missing or 'yes'}")
    print()
    print("\n".join(_grid()))
    return 0


def _grid() -> Iterator[str]:
    """Yield the lines of the grid: a row per loss and penalty, a column per backend."""
    yield f"{'loss + penalty':<23}" + "".join(f"{name:>9}" for name in BACKENDS)
    remarks: dict[str, dict[str, None]] = {name: {} for name in BACKENDS}  # no repeats, in order
    for loss in LOSSES:
        least = 1 if LOSSES[loss].separable else 2
        for penalty in PENALTIES:
            cells = []
            for name, backend in BACKENDS.items():
                taken = []
                for outputs in (least, 2):
                    programs = [tiny_program(loss, penalty, outputs, b) for b in (False, True)]
                    refusals = [backend.accepts(program) for program in programs]
                    remarks[name] |= {f"{name}: {each}": None for each in refusals if each}
                    taken.append(not any(refusals))
                cells.append(_SHOWN[taken[0], taken[1]])
            yield f"{loss + ' + ' + penalty:<23}" + "".join(f"{cell:>9}" for cell in cells)
    yield ""
    yield "yes: with and without an intercept, any number of outputs; one: one output only."
    for each in remarks.values():
        yield from each
