"""bidual demo: run the comparison with its default settings, and explain each step."""

import argparse
from typing import Any

from .compare import Job, run_job

_INTRODUCTION = """\
A spiking network on real handwritten digits, trained to a certified optimum.

An image is read row by row, 8 steps of 8 inputs, by leaky integrate-and-fire
neurons in two layers. Fixed random subnetworks give a dictionary of 0/1 spike
patterns; over it, training is a convex program. Every backend solves the same program.
bidual trusts no backend: it proves the gap in the table from the answer itself.
bidual then turns the answer into a spiking network again.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="train a certified spiking network on real digits, with every backend",
        description=(
            "Runs `bidual compare` at its defaults: digits, LIF (64, 32), 16 subnetworks, "
            "squared loss, strength 0.1 lambda_max, every backend. Takes one to four minutes."
        ),
    )
    parser.add_argument("--out", default="out", help="folder for the results (default: out)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    print(_INTRODUCTION)
    return run_job(Job(out=options.out))
