"""Budgets of enumerations: estimate an enumeration and refuse it if it exceeds the budget."""

from dataclasses import dataclass, fields
from decimal import Decimal

from ..validation import is_number, shown

MANY = 10**100  # floats hold it, and its product with other numbers
_LONGEST = 10**15  # from here on, numbers are printed with three digits and an exponent


class BudgetExceeded(ValueError):
    """Error: an enumeration would exceed its budget; that work was not started."""


@dataclass(frozen=True)
class Estimate:
    """Estimate of an enumeration: patterns, seconds and bytes.

    Attributes
    ----------
    patterns : int
        Number of patterns, or of the objects that ``counts`` names; a count if
        ``exact``, else an upper bound.
    seconds : float
        Approximate time of the listing, on one core.
    nbytes : int
        Memory of the result and of intermediate arrays, in bytes.
    exact : bool
        Whether ``patterns`` is a count.
    counts : str
        Name of the counted objects: patterns, or intermediate objects.
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
    """Limits of an enumeration.

    Parameters
    ----------
    patterns : int
        Largest number of patterns to list.
    seconds : float
        Largest estimated time.
    nbytes : int
        Largest estimated memory, in bytes.

    Raises
    ------
    ValueError
        If a limit is not a number above 0.

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
            if not (is_number(value) and value > 0):
                raise ValueError(f"{name}: expected a number above 0, got {shown(value)}")

    def check(self, estimate: Estimate) -> None:
        """Raise BudgetExceeded if the estimate exceeds a limit; the message names these limits."""
        past = [
            f"{name} {in_digits(getattr(self, name))}"
            for name in ("patterns", "seconds", "nbytes")
            if getattr(estimate, name) > getattr(self, name)
        ]
        if past:
            raise BudgetExceeded(
                f"budget: the enumeration has {estimate}, which exceeds the budget of "
                f"{', '.join(past)}; raise the budget, or take fewer rows, inputs or steps"
            )


def check_budget(budget: Budget | None) -> Budget:
    """Return the budget, or ``Budget()`` for None; raise ValueError for any other object."""
    if budget is None:
        return Budget()
    if not isinstance(budget, Budget):
        raise ValueError(f"budget: expected a Budget, got {budget!r}")
    return budget


def in_digits(number: float) -> str:
    """Format a number of any size with all its digits, or with three digits if it is very large."""
    if number < _LONGEST:
        return f"{number:,}"
    return f"{Decimal(number if isinstance(number, int) else float(number)):.2e}"
