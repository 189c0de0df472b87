"""Budgets of enumerations: what one would take is told, and refused beyond a limit, beforehand."""

from dataclasses import dataclass, fields
from decimal import Decimal
from numbers import Real

_LONGEST = 10**15  # numbers from here on are told by three digits and an exponent


class BudgetExceeded(ValueError):
    """An enumeration would take more than its budget allows; what that goes for was not started."""


@dataclass(frozen=True)
class Estimate:
    """What an enumeration is going to take.

    Attributes
    ----------
    patterns : int
        How many patterns, or whatever ``counts`` names, there are; a count where
        ``exact``, else an upper bound.
    seconds : float
        Rough time of listing them, on one core.
    nbytes : int
        Memory of the result and of the work on the way, in bytes.
    exact : bool
        Whether ``patterns`` was counted.
    counts : str
        What is counted: patterns, or what has to be listed on the way to them.
    """

    patterns: int
    seconds: float
    nbytes: int
    exact: bool = True
    counts: str = "patterns"

    def __str__(self) -> str:
        number = f"{'' if self.exact else 'up to '}{in_digits(self.patterns)} {self.counts}"
        return f"{number}, about {self.seconds:.2g} s and {self.nbytes / 1e6:.3g} MB"


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

    Raises
    ------
    ValueError
        If one of them is not a number above 0.

    Examples
    --------
    >>> import bidual as bd
    >>> from bidual.dictionaries.complete.budget import Estimate
    >>> bd.Budget(patterns=1000).check(Estimate(patterns=104, seconds=0.1, nbytes=10_000))
    """

    patterns: int = 2_000_000
    seconds: float = 120.0
    nbytes: int = 4 * 2**30

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            is_number = isinstance(value, Real)
            if not (is_number and value > 0):
                raise ValueError(f"{name}: expected a number above 0, got {value!r}")

    def check(self, estimate: Estimate) -> None:
        """Raise BudgetExceeded where the estimate goes past a limit, naming each that it passes."""
        past = [
            f"{name} {in_digits(getattr(self, name))}"
            for name in ("patterns", "seconds", "nbytes")
            if getattr(estimate, name) > getattr(self, name)
        ]
        if past:
            raise BudgetExceeded(
                f"budget: the enumeration has {estimate}, past the budget of {', '.join(past)}; "
                "raise the budget, or take fewer rows, inputs or steps"
            )


def check_budget(budget: Budget | None) -> Budget:
    """Return the budget, ``Budget()`` for none; ValueError for anything else."""
    if budget is None:
        return Budget()
    if not isinstance(budget, Budget):
        raise ValueError(f"budget: expected a Budget, got {budget!r}")
    return budget


def in_digits(number: float) -> str:
    """A number with all its digits, or with three where it is very large; any size will do."""
    if number < _LONGEST:
        return f"{number:,}"
    return f"{Decimal(number if isinstance(number, int) else float(number)):.2e}"
