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

from importlib.metadata import version as _version

from . import tasks
from .certificates import Certificate, ExactCertificate, certify
from .certificates.complete_statement import completeness
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
    Layer,
    Neuron,
    RecurrentPatterns,
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
