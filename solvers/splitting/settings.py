"""Settings of ADMM splitting and their checks; :class:`ADMMSplitting` documents each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...dictionaries.validation import check_flag, check_whole, is_number, shown
from ...dictionaries.witnesses.sampled import check_widths

_LIMITS = {"leak": (0.0, 1.0, "in [0, 1]"), "weight_decay": (0.0, np.inf, "of at least 0")}
_CHOICES = {
    "weight_norm": ("l2", "l1"),
    "initial": ("simulated", "uniform"),
    "order": ("gauss-seidel", "jacobi"),
    "spikes": ("clipped", "exact"),
}


@dataclass(frozen=True)
class SplittingSettings:
    """Settings of :class:`ADMMSplitting`; they raise ValueError if one is out of range."""

    hidden: Sequence[int]
    leak: float = 0.95
    threshold: float = 1.0
    rho: float = 1.0
    spike_rho: float = 0.1
    weight_decay: float = 0.0
    weight_norm: Literal["l2", "l1"] = "l2"
    initial: Literal["simulated", "uniform"] = "simulated"
    order: Literal["gauss-seidel", "jacobi"] = "gauss-seidel"
    spikes: Literal["clipped", "exact"] = "clipped"
    adaptive: bool = False
    acceleration: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", check_widths(self.hidden))
        for name in ("leak", "threshold", "rho", "spike_rho", "weight_decay"):
            value = getattr(self, name)
            least, most, limits = _LIMITS.get(name, (np.nextafter(0.0, 1.0), np.inf, "above 0"))
            if not (is_number(value) and least <= value <= most and value < np.inf):
                raise ValueError(f"{name}: expected a finite number {limits}, got {shown(value)}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {known}, got {getattr(self, name)!r}")
        if self.weight_norm == "l1" and self.weight_decay == 0:
            raise ValueError("weight_decay: expected a number above 0 for weight_norm 'l1', got 0")
        object.__setattr__(self, "adaptive", check_flag("adaptive", self.adaptive))
        check_whole("acceleration", self.acceleration, 0)
