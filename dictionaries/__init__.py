"""Spike dictionaries: 0/1 atoms packed into bits, with the witnesses that generate them.

Conventions
-----------
Sequences ``X`` are (n, T, d): n samples, T steps, d inputs. A dictionary D is
(N, P): N rows, P atoms; N = n for the last step, and N = n * T for every step,
stacked step by step (row t * n + i is sample i at step t). Sampled weights are float64
multiples of 2**-14, and each input column is rounded to a grid of its own size
(``input_grid.py``). Currents are exact sums if the columns have like sizes, and always
sums in one order. So spikes are the same on every machine, BLAS and chunking.
A ``DenseMatrix`` holds a design of other real numbers, for programs only.

Folders: ``matrix/`` holds the designs, ``witnesses/`` the hidden weights, ``files/`` the
file format, ``interop/`` the readers of other libraries' networks, ``complete/`` the
enumerations, ``threads/`` the thread pool.
"""

from .class_record import ClassRecord
from .complete import (
    Budget,
    BudgetExceeded,
    CompletePatterns,
    CompleteTrajectories,
    DeepPatterns,
    Estimate,
    RecurrentPatterns,
    complete_lif,
    complete_thresholds,
    count_lif_trajectories,
    count_threshold_patterns,
    deep_patterns,
    lif_trajectories,
    recurrent_patterns,
    threshold_patterns,
)
from .health import DeadLayerWarning, Health, health
from .input_grid import InputGrid, RoundedInputWarning, as_sequences, check_sequences
from .matrix.binary_matrix import BinaryMatrix
from .matrix.dense_matrix import DenseMatrix, Design
from .neuron import THRESHOLD_UNIT, Layer, Neuron
from .rollout import roll, roll_columns, smallest_margins
from .rounding import spikes_within_rounding
from .spike_dictionary import Readout, SpikeDictionary
from .threads.threads import get_threads, set_threads, use_threads
from .witnesses.given import GivenWitnesses
from .witnesses.neuron_witnesses import NeuronWitnesses
from .witnesses.sampled import SampledWitnesses, Witnesses

__all__ = [
    "THRESHOLD_UNIT",
    "BinaryMatrix",
    "Budget",
    "BudgetExceeded",
    "ClassRecord",
    "CompletePatterns",
    "CompleteTrajectories",
    "DeadLayerWarning",
    "DeepPatterns",
    "DenseMatrix",
    "Design",
    "Estimate",
    "GivenWitnesses",
    "Health",
    "InputGrid",
    "Layer",
    "Neuron",
    "NeuronWitnesses",
    "Readout",
    "RecurrentPatterns",
    "RoundedInputWarning",
    "SampledWitnesses",
    "SpikeDictionary",
    "Witnesses",
    "as_sequences",
    "check_sequences",
    "complete_lif",
    "complete_thresholds",
    "count_lif_trajectories",
    "count_threshold_patterns",
    "deep_patterns",
    "get_threads",
    "health",
    "lif_trajectories",
    "recurrent_patterns",
    "roll",
    "roll_columns",
    "set_threads",
    "smallest_margins",
    "spikes_within_rounding",
    "threshold_patterns",
    "use_threads",
]
