"""Reader of NIR graphs; ``GivenWitnesses.from_nir`` documents it.

NIR (Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9) defines neurons by
differential equations; the layers compute Euler steps of them.
"""

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..neuron import Layer
from ..validation import printable, real_array


def read_nir(graph: Any | str | PathLike[str], dt: float) -> list[Layer]:
    """Read the spiking layers of a NIR graph or file, in Euler steps of ``dt`` seconds.

    Raises
    ------
    ValueError
        If dt is not a positive number, the graph is not a chain of layers, or a
        node can't be represented as a Layer.
    OSError
        If a path can't be read.
    """
    import nir

    if not 0 < dt < np.inf:
        raise ValueError(f"dt: expected a positive number of seconds, got {dt}")
    if isinstance(graph, str | PathLike):
        # without NIR's check, which files of scalar neurons fail; this file checks the shapes
        graph = nir.read(graph, type_check=False)
    if not isinstance(graph, nir.NIRGraph):
        raise ValueError(
            f"graph: expected a NIRGraph or the path of a file, got {type(graph).__name__}"
        )
    chain, feedback = _chain(graph)
    layers: list[Layer] = []
    before = None  # an Affine or Linear that still needs its neurons
    states = None  # an LI or I that still needs its Threshold
    for place, name in enumerate(chain):
        node = graph.nodes[name]
        kind = type(node)
        try:
            if kind is nir.Flatten:
                if (node.start_dim, node.end_dim) != (0, -1):
                    raise ValueError("expected start_dim=0 and end_dim=-1")
            elif kind in (nir.Affine, nir.Linear):
                if before is not None:
                    raise ValueError("expected neurons between two Affine or Linear nodes")
                before = node
            elif kind in (nir.LIF, nir.IF, nir.LI, nir.I, nir.Threshold):
                if before is None:
                    raise ValueError("expected an Affine or Linear before it")
                if kind in (nir.LI, nir.I):
                    follower = graph.nodes[chain[place + 1]] if place + 1 < len(chain) else None
                    if not isinstance(follower, nir.Threshold | None):
                        raise ValueError("expected a Threshold after it")
                    states = node
                else:
                    loop = feedback.get(name)
                    layers.append(_read_neurons(before, states, node, loop, dt))
                    before = states = None
            else:
                raise ValueError("expected Affine, Linear, LIF, IF, Threshold, LI and I nodes only")
        except ValueError as error:
            raise ValueError(f"node {printable(name)} ({kind.__name__}): {error}") from error
    if not layers:
        raise ValueError("graph: expected spiking nodes, found none")
    return layers


def _chain(graph: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the nodes' names from Input to Output, and each spiking node's recurrent Linear.

    Raises
    ------
    ValueError
        If the nodes without these loops are not a single chain.
    """
    import nir

    nodes = graph.nodes
    edges = list(dict.fromkeys((source, target) for source, target in graph.edges))
    after: dict[str, list[str]] = {name: [] for name in nodes}
    ahead: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        if source not in nodes or target not in nodes:
            raise ValueError(f"graph: expected edges between its nodes, got {(source, target)}")
        after[source].append(target)
        ahead[target].append(source)

    feedback: dict[str, Any] = {}
    for name, node in nodes.items():
        if type(node) is nir.Linear and len(ahead[name]) == len(after[name]) == 1:
            source, target = ahead[name][0], after[name][0]
            back_to_states = target in ahead[source] and type(nodes[target]) in (nir.LI, nir.I)
            spikes = type(nodes[source]) in (nir.LIF, nir.IF, nir.Threshold)
            if spikes and (source == target or back_to_states) and source not in feedback:
                feedback[source] = node
                after[source].remove(name)
                ahead[target].remove(name)

    loops = {id(node) for node in feedback.values()}
    rest = [name for name, node in nodes.items() if id(node) not in loops]
    for kind in (nir.Input, nir.Output):
        found = [name for name in rest if type(nodes[name]) is kind]
        if len(found) != 1:
            raise ValueError(f"graph: expected one {kind.__name__} node, got {found}")
    chain = [name for name in rest if type(nodes[name]) is nir.Input]
    while type(nodes[chain[-1]]) is not nir.Output:
        following = after[chain[-1]]
        if len(following) != 1 or len(ahead[following[0]]) != 1:
            raise ValueError(
                f"node {printable(chain[-1])}: expected a chain of nodes, got edges to "
                f"{following}, which have edges from {[ahead[name] for name in following]}"
            )
        chain += following
    if len(chain) != len(rest):
        raise ValueError(f"graph: expected one chain, got other nodes {set(rest) - set(chain)}")
    return chain[1:-1], feedback


def _read_neurons(before: Any, states: Any, spiking: Any, feedback: Any, dt: float) -> Layer:
    """Read the neurons of a LIF or IF node, or of a Threshold with any LI or I before it."""
    import nir

    hard = type(spiking) is not nir.Threshold
    leak, gain, drift = _euler(spiking if hard else states, dt)
    if hard and np.any(spiking.v_reset != 0):
        raise ValueError(f"expected v_reset 0, got {spiking.v_reset}")
    weights = real_array("weight", before.weight).T
    bias = real_array("bias", getattr(before, "bias", 0.0))
    reset: Any = "hard" if hard else 0.0
    recurrent = None
    if feedback is not None:
        recurrent = real_array("weight", feedback.weight).T * gain
        taken = -np.diagonal(recurrent)
        if not hard and (taken >= 0).all() and np.array_equal(recurrent, -np.diag(taken)):
            reset, recurrent = taken, None  # u is the same, and the rollout is faster
    return Layer.build(
        weights * gain,
        leak=leak,
        threshold=real_array("threshold", spiking.v_threshold if hard else spiking.threshold),
        reset=reset,
        bias=gain * bias + drift,
        recurrent=recurrent,
        strict=True,
    )


def _euler(states: Any, dt: float) -> tuple[NDArray[np.float64], ...]:
    """Return leak, gain and drift of u[t] = leak * u[t-1] + gain * input[t] + drift."""
    if states is None:
        return np.zeros(()), np.ones(()), np.zeros(())
    r = real_array("r", states.r)
    if not hasattr(states, "tau"):
        return np.ones(()), r * dt, np.zeros(())
    tau = real_array("tau", states.tau)
    if not np.isfinite(tau).all() or np.any(tau < dt):
        raise ValueError(f"tau: expected finite times of at least dt = {dt}, got {tau}")
    return 1.0 - dt / tau, r * dt / tau, real_array("v_leak", states.v_leak) * dt / tau
