"""bidual: threshold and spiking networks trained as convex programs, with certified gaps.

Sample a dictionary of 0/1 spike patterns, state the convex program of training
over it, solve it with any backend, prove how close the answer is to the
optimum, and rebuild the network:

>>> import bidual as bd
>>> X, y = bd.tasks.digits()
>>> lif = bd.LIF(hidden=(16, 8), leak=0.99, threshold=1.0)
>>> atoms = lif.sample(X[:100], subnetworks=4, seed=0)
>>> program = lif.program(atoms, y[:100], loss="squared", beta=0.1)
>>> solution = bd.solve(program, backend="auto", gap=1e-6)
>>> solution.status.name
'CERTIFIED'
>>> network = solution.network()
>>> network.predict(X[100:102]).shape
(2,)
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import tasks
    from .certificates.certificate import Certificate
    from .certificates.complete_statement import completeness
    from .certificates.exact_certificate import ExactCertificate
    from .dictionaries import (
        THRESHOLD_UNIT,
        BinaryMatrix,
        Budget,
        BudgetExceeded,
        CompletePatterns,
        CompleteTrajectories,
        DeadLayerWarning,
        DeepPatterns,
        DenseMatrix,
        GivenWitnesses,
        Health,
        InputGrid,
        Layer,
        Neuron,
        RecurrentPatterns,
        RoundedInputWarning,
        SampledWitnesses,
        SpikeDictionary,
        complete_lif,
        complete_thresholds,
        count_lif_trajectories,
        count_threshold_patterns,
        deep_patterns,
        health,
        lif_trajectories,
        recurrent_patterns,
        set_threads,
        threshold_patterns,
        use_threads,
    )
    from .formulations import (
        L1,
        LIF,
        LOSSES,
        PENALTIES,
        CompleteArrangement,
        ConicForm,
        ConvexProgram,
        Dual,
        Feedforward,
        Group,
        Heads,
        Huber,
        Loss,
        NetworkClass,
        Penalty,
        Primal,
        QuadraticProgram,
        Recurrent,
        class_of,
        complete_arrangement,
        readout_program,
    )
    from .networks import (
        Network,
        RecurrentNetwork,
        SpikingNetwork,
        SynapticOperations,
        ThresholdNetwork,
    )
    from .solvers import (
        BACKENDS,
        ADMMSplitting,
        Backend,
        BackendUnavailable,
        Growth,
        ProgramNotAccepted,
        Progress,
        Round,
        Solution,
        Splitting,
        SplittingStopReason,
        Status,
        StopReason,
        Sweep,
        certify,
        grow,
        path,
        register,
        solve,
    )

__version__ = _version("bidual")

__all__ = [
    "BACKENDS",
    "L1",
    "LIF",
    "LOSSES",
    "PENALTIES",
    "THRESHOLD_UNIT",
    "ADMMSplitting",
    "Backend",
    "BackendUnavailable",
    "BinaryMatrix",
    "Budget",
    "BudgetExceeded",
    "Certificate",
    "CompleteArrangement",
    "CompletePatterns",
    "CompleteTrajectories",
    "ConicForm",
    "ConvexProgram",
    "DeadLayerWarning",
    "DeepPatterns",
    "DenseMatrix",
    "Dual",
    "ExactCertificate",
    "Feedforward",
    "GivenWitnesses",
    "Group",
    "Growth",
    "Heads",
    "Health",
    "Huber",
    "InputGrid",
    "Layer",
    "Loss",
    "Network",
    "NetworkClass",
    "Neuron",
    "Penalty",
    "Primal",
    "ProgramNotAccepted",
    "Progress",
    "QuadraticProgram",
    "Recurrent",
    "RecurrentNetwork",
    "RecurrentPatterns",
    "Round",
    "RoundedInputWarning",
    "SampledWitnesses",
    "Solution",
    "SpikeDictionary",
    "SpikingNetwork",
    "Splitting",
    "SplittingStopReason",
    "Status",
    "StopReason",
    "Sweep",
    "SynapticOperations",
    "ThresholdNetwork",
    "certify",
    "class_of",
    "complete_arrangement",
    "complete_lif",
    "complete_thresholds",
    "completeness",
    "count_lif_trajectories",
    "count_threshold_patterns",
    "deep_patterns",
    "grow",
    "health",
    "lif_trajectories",
    "path",
    "readout_program",
    "recurrent_patterns",
    "register",
    "set_threads",
    "solve",
    "tasks",
    "threshold_patterns",
    "use_threads",
]

# where the public names are, once more: they are imported when the first is used, since
# "bidual verify" needs neither Numba nor NumPy
_HOMES = (
    "certificates.certificate",
    "certificates.complete_statement",
    "certificates.exact_certificate",
    "dictionaries",
    "formulations",
    "networks",
    "solvers",
    "tasks",
)

if not TYPE_CHECKING:  # type checkers see the imports above, and no name beside them

    def __getattr__(name):
        """Import all public names at the first use of a name."""
        if not name.startswith("_"):
            for home in _HOMES:
                there = vars(_import_module(f".{home}", __name__))
                globals().update({each: there[each] for each in __all__ if each in there})
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)

    def __dir__():
        return sorted({*globals(), *__all__})
