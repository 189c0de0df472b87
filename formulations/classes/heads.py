"""Heads: several outputs, each with its own loss, for example digit and carry of a sum.

    min  sum_h weight_h loss_h(f_h(X), Y_h) + beta sum_h R(f_h)

separates if each head has its own subnetworks. Head h is a program at strength / weight_h, and
weight_h times its value is its term of the sum.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...dictionaries import SpikeDictionary
from ...dictionaries.validation import check_number, is_number, shown
from ...kernels.text import printable
from ..losses import Loss
from ..program import ConvexProgram


class Heads(Mapping[str, ConvexProgram]):
    """The programs of several heads, by name; ``NetworkClass.heads`` states them.

    Attributes
    ----------
    weights : dict of str to float
        Weight of each head's loss in the sum.
    """

    def __init__(
        self,
        programs: dict[str, ConvexProgram],
        weights: dict[str, float],
    ) -> None:
        self._programs = programs
        self.weights = weights

    def __getitem__(self, name: str) -> ConvexProgram:
        return self._programs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._programs)

    def __len__(self) -> int:
        return len(self._programs)

    def __repr__(self) -> str:
        told = ", ".join(f"{self.weights[name]:g} x {printable(name)}" for name in self)
        return f"Heads({told})"

    def primal(self, solutions: Mapping[str, Any]) -> float:
        """Return the objective of the sum at a solution of each head."""
        self._check(solutions)
        return sum(
            self.weights[name] * program.primal(solutions[name].weights, solutions[name].intercept)
            for name, program in self.items()
        )

    def dual(self, solutions: Mapping[str, Any]) -> float:
        """Return a lower bound on the objective of the sum, from the solutions' dual points."""
        self._check(solutions)
        return sum(
            self.weights[name] * program.dual(solutions[name].dual_point)
            for name, program in self.items()
        )

    def networks(self, solutions: Mapping[str, Any]) -> dict[str, Any]:
        """Rebuild the network of each head."""
        self._check(solutions)
        return {
            name: program.source.network(program.dictionary, solutions[name])
            for name, program in self.items()
        }

    def _check(self, solutions: Mapping[str, Any]) -> None:
        _expect_names("solutions", solutions, self)
        for name, program in self.items():
            if solutions[name].program is not program:
                raise ValueError(
                    f"solutions: expected a solution of the program of head {name!r}, got another"
                )


def head_programs(
    formulation: Any,
    dictionary: SpikeDictionary,
    targets: Mapping[str, ArrayLike],
    loss: str | Loss | Mapping[str, str | Loss],
    weights: Mapping[str, float] | None,
    beta: float | None,
    strength: float | None,
    options: dict[str, Any],
) -> tuple[dict[str, ConvexProgram], dict[str, float]]:
    """State the program of each head and return the heads' weights; see ``NetworkClass.heads``."""
    if not isinstance(targets, Mapping) or not targets:
        raise ValueError(f"targets: expected a mapping of at least one head, got {targets!r:.60}")
    losses = loss if isinstance(loss, Mapping) else dict.fromkeys(targets, loss)
    _expect_names("loss", losses, targets)
    given = dict.fromkeys(targets, 1.0) if weights is None else weights
    _expect_names("weights", given, targets)
    for name, weight in given.items():
        if not (is_number(weight) and 0 < weight < np.inf):
            raise ValueError(
                f"weights: expected finite numbers > 0, got {shown(weight)} for {name!r}"
            )
    value: Any
    key, value = ("beta", beta) if strength is None else ("strength", strength)
    check_number(key, value, zero=True)
    programs = {}
    for name, y in targets.items():
        share = {key: value / given[name]}
        try:
            programs[name] = formulation.program(dictionary, y, losses[name], **share, **options)
        except ValueError as error:
            raise ValueError(f"{error} (head {name!r})") from error
    return programs, {name: float(given[name]) for name in targets}


def _expect_names(what: str, found: Any, names: Mapping[str, Any]) -> None:
    if not isinstance(found, Mapping) or set(found) != set(names):
        got = sorted(found) if isinstance(found, Mapping) else repr(found)
        raise ValueError(
            f"{what}: expected one entry for each of the heads {sorted(names)}, got {got}"
        )
