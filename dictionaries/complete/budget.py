"""Budgets of enumerations: what one would take is told, and refused beyond a limit, beforehand."""

from dataclasses import dataclass


class BudgetExceeded(ValueError):
    """An enumeration would take more than its budget allows; nothing was started."""


@dataclass(frozen=True)
class Estimate:
    """What an enumeration is going to take.

    Attributes
    ----------
    patterns : int
        How many patterns there are; a count where ``exact``, else an upper bound.
    seconds : float
        Rough time of listing them, on one core.
    nbytes : int
        Memory of the result and of the work on the way, in bytes.
    exact : bool
        Whether ``patterns`` was counted.
    """

    patterns: int
    seconds: float
    nbytes: int
    exact: bool = True

    def __str__(self) -> str:
        number = f"{self.patterns:,}" if self.exact else f"up to {self.patterns:,}"
        return f"{number} patterns, about {self.seconds:.2g} s and {self.nbytes / 1e6:.3g} MB"


@dataclass(frozen=True)
class Budget:
    """How far an enumeration may go.

    Parameters
    ----------
    patterns : int
        Patterns to list at most.
    seconds : float
        Estimated time at most.
    nbytes : int
        Estimated memory at most, in bytes.

    Examples
    --------
    >>> import bidual as bd
    >>> from bidual.dictionaries.complete.budget import Estimate
    >>> bd.Budget(patterns=1000).check(Estimate(patterns=104, seconds=0.1, nbytes=10_000))
    """

    patterns: int = 2_000_000
    seconds: float = 120.0
    nbytes: int = 4 * 2**30

    def check(self, estimate: Estimate) -> None:
        """Raise BudgetExceeded where the estimate goes past a limit, naming each that it passes."""
        past = [
            f"{name} {getattr(self, name):,}"
            for name in ("patterns", "seconds", "nbytes")
            if getattr(estimate, name) > getattr(self, name)
        ]
        if past:
            raise BudgetExceeded(
                f"budget: the enumeration has {estimate}, past the budget of {', '.join(past)}; "
                "raise the budget, or take fewer rows, inputs or steps"
            )
