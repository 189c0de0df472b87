"""Complete dictionaries: all patterns of a class of neurons, listed and independently counted.

``arrangement.py`` lists the patterns of a threshold neuron, ``deep_patterns.py``
those of small deep and recurrent networks, ``trajectories.py`` the trajectories
of a LIF neuron. ``dictionary.py`` makes dictionaries of them. Every decision uses
integer arithmetic, and every witness is evaluated again.
"""

from .arrangement import CompletePatterns, count_threshold_patterns, threshold_patterns
from .budget import Budget, BudgetExceeded, Estimate
from .deep_patterns import DeepPatterns, RecurrentPatterns, deep_patterns, recurrent_patterns
from .dictionary import complete_lif, complete_thresholds
from .trajectories import CompleteTrajectories, lif_trajectories
from .trajectory_counting import count_lif_trajectories

__all__ = [
    "Budget",
    "BudgetExceeded",
    "CompletePatterns",
    "CompleteTrajectories",
    "DeepPatterns",
    "Estimate",
    "RecurrentPatterns",
    "complete_lif",
    "complete_thresholds",
    "count_lif_trajectories",
    "count_threshold_patterns",
    "deep_patterns",
    "lif_trajectories",
    "recurrent_patterns",
    "threshold_patterns",
]
