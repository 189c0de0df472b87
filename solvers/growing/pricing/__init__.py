"""Pricing: search for witnesses whose atoms violate the constraints of a dual point.

Each file holds a pricing method that :func:`bidual.grow` can use:

- ``exact.py`` prices every atom of an enumeration;
- ``refinement.py`` runs an exact branch and bound on the tree of a LIF neuron's trajectories;
- ``threshold_milp.py`` solves a mixed-integer program for threshold units, with HiGHS's bound;
- ``search.py`` covers any class by random networks, random changes and gradients; no bound.
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
