"""Pricing: looking for witnesses whose atoms violate the constraints of a dual point.

Growing a dictionary (``solvers/growing/grow.py``) asks one of these, each in a file of its own:

- ``exact.py``: every atom of an enumeration is priced;
- ``refinement.py``: branch and bound on the tree of one LIF neuron's trajectories, exact too;
- ``threshold_milp.py``: a mixed-integer program for threshold units, with HiGHS's bound;
- ``search.py``: any class, by random networks, changes of those in use and gradients; no bound.
"""

from .exact import EnumerationPricing
from .one_neuron import OneNeuron
from .oracle import Grounds, Priced, Pricing, Question, Witness
from .refinement import RefinementPricing
from .search import SearchPricing
from .threshold_milp import ThresholdMILPPricing

__all__ = [
    "EnumerationPricing",
    "Grounds",
    "OneNeuron",
    "Priced",
    "Pricing",
    "Question",
    "RefinementPricing",
    "SearchPricing",
    "ThresholdMILPPricing",
    "Witness",
]
