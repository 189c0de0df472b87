"""Networks of other libraries fire the same here, spike for spike, or are refused."""

import contextlib
import itertools
import re

import numpy as np
import pytest

from bidual.dictionaries import roll
from bidual.dictionaries.witnesses.given import GivenWitnesses

pytestmark = pytest.mark.slow  # test-all installs the other libraries

GRID = 2.0**-10
FLIPS = 1e-5  # share of spikes that another order of roundings may flip off the grid


@pytest.fixture
def nn():
    return pytest.importorskip("torch", reason="needs torch; make test-all installs it").nn


@pytest.fixture
def snn():
    return pytest.importorskip("snntorch", reason="reads snnTorch networks")


@pytest.fixture
def sj():
    pytest.importorskip("spikingjelly", reason="reads spikingjelly networks")
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    class Library:
        pass

    library = Library()
    library.functional, library.layer = functional, layer
    library.neuron, library.surrogate = neuron, surrogate
    return library


@pytest.fixture
def nir():
    return pytest.importorskip("nir", reason="needs nir; make test-all installs it")


def on_grid(array):
    return np.rint(array / GRID) * GRID


def sequences(n=40, steps=20, inputs=8, seed=0):
    return on_grid(np.random.default_rng(seed).normal(size=(n, steps, inputs)))


def assert_same(ours, theirs, budget=0.0):
    """Same spikes but for a share; and enough of them, of each kind, to tell."""
    assert len(ours) == len(theirs)
    flips = sum((a != b).sum() for a, b in zip(ours, theirs, strict=True))
    assert flips <= budget * sum(a.size for a in ours)
    for spikes in theirs:
        assert 0.03 < spikes.mean() < 0.97


# PyTorch


def linear(nn, fan_in, width, seed, bias=True, exact=True):
    """A float64 Linear with normal weights, on the grid if ``exact``."""
    import torch

    module = nn.Linear(fan_in, width, bias=bias).double()
    generator = np.random.default_rng(seed)
    for parameter in module.parameters():
        values = generator.normal(size=parameter.shape) * 0.7
        parameter.data = torch.tensor(on_grid(values) if exact else values)
    return module


def run_snntorch(modules, X):
    """Spikes of every neuron; states passed by hand where a module asks for it.

    snnTorch's spikes are float32, also in a float64 network, and are made float64 for it.
    """
    import torch

    neurons = [module for module in modules if hasattr(module, "reset_mechanism")]
    states = {id(neuron): [] for neuron in neurons}
    kept = {id(neuron): [] for neuron in neurons}
    for neuron in neurons:
        neuron.reset_mem()
    with torch.no_grad():
        for t in range(X.shape[1]):
            signal = torch.tensor(X[:, t])
            for module in modules:
                if id(module) not in kept:
                    signal = module(signal)
                    continue
                answer = module(signal, *states[id(module)])
                if isinstance(answer, tuple) and not module.init_hidden:
                    states[id(module)] = [part.double() for part in answer[-2:]]
                    if not hasattr(module, "recurrent"):
                        states[id(module)] = states[id(module)][1:]
                signal = (answer[0] if isinstance(answer, tuple) else answer).double()
                if hasattr(module, "spk") and module.init_hidden:
                    module.spk = module.spk.double()
                kept[id(module)].append(signal.numpy())
    return [np.stack(spikes, axis=1) for spikes in kept.values()]


def leaky_pair(nn, snn, exact=True, kind="Leaky", widths=(16, 12), beta=0.9, **options):
    """Two layers [Linear, neuron, Linear, neuron] in float64."""
    import torch

    made = []
    for place, (fan_in, width) in enumerate(zip((8, widths[0]), widths, strict=True)):
        if kind == "RLeaky" and options.get("all_to_all", True):
            neuron = snn.RLeaky(beta, linear_features=width, **options).double()
            recurrent = linear(nn, width, width, 10 + place, exact=exact)
            for parameter, values in zip(
                neuron.recurrent.parameters(), recurrent.parameters(), strict=True
            ):
                parameter.data = values.data
        else:
            neuron = getattr(snn, kind)(beta, **options)
        made += [linear(nn, fan_in, width, place, exact=exact), neuron.double()]
    assert all(buffer.dtype != torch.float32 for module in made for buffer in module.buffers())
    return made


RESETS = ["subtract", "zero", "none"]


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("hidden", [False, True], ids=["states passed", "init_hidden"])
def test_leaky_fires_the_same_bit_for_bit_on_the_grid(nn, snn, reset, hidden):
    modules = leaky_pair(nn, snn, reset_mechanism=reset, init_hidden=hidden)
    bank = GivenWitnesses.from_snntorch(nn.Sequential(*modules))
    assert (bank.inputs, bank.hidden, bank.subnetworks) == (8, (16, 12), 1)
    assert_same(roll(sequences(), bank.layers(0)), run_snntorch(modules, sequences()))


@pytest.mark.parametrize("reset", RESETS)
def test_leaky_off_the_grid_flips_next_to_nothing(nn, snn, reset):
    X = np.random.default_rng(1).normal(size=(200, 28, 8))
    modules = leaky_pair(nn, snn, exact=False, reset_mechanism=reset)
    ours = roll(X, GivenWitnesses.from_snntorch(modules).layers(0))
    assert_same(ours, run_snntorch(modules, X), FLIPS)


def test_leaky_in_float32_flips_next_to_nothing(nn, snn):
    import torch

    X = np.random.default_rng(2).normal(size=(400, 28, 8)).astype(np.float32)
    modules = [module.float() for module in leaky_pair(nn, snn, exact=False, init_hidden=True)]
    with torch.no_grad():
        kept = [[], []]
        for t in range(X.shape[1]):
            kept[0].append(modules[1](modules[0](torch.tensor(X[:, t]))))
            kept[1].append(modules[3](modules[2](kept[0][-1])))
    theirs = [torch.stack(spikes, dim=1).numpy() for spikes in kept]
    ours = roll(X.astype(np.float64), GivenWitnesses.from_snntorch(modules).layers(0))
    assert_same(ours, theirs, FLIPS)


def test_beta_and_threshold_of_each_neuron_and_beta_beyond_its_range(nn, snn):
    import torch

    first = snn.Leaky(torch.linspace(-0.5, 1.5, 16), threshold=torch.linspace(0.5, 2, 16)).double()
    second = snn.Leaky(torch.tensor([0.8]), threshold=torch.tensor([0.75])).double()
    modules = [linear(nn, 8, 16, 0), first, linear(nn, 16, 12, 1, bias=False), second]
    layers = GivenWitnesses.from_snntorch(modules).layers(0)
    assert (layers[0].leak[0], layers[0].leak[-1]) == (0.0, 1.0)
    assert_same(roll(sequences(), layers), run_snntorch(modules, sequences()))


@pytest.mark.parametrize("reset", RESETS)
def test_ties_at_the_threshold_do_not_fire(nn, snn, reset):
    import torch

    modules = leaky_pair(nn, snn, beta=0.5, reset_mechanism=reset)
    for module in (modules[0], modules[2]):
        for parameter in module.parameters():
            parameter.data = torch.round(2 * parameter.data)
    X = np.rint(sequences())
    bank = GivenWitnesses.from_snntorch(modules)
    theirs = run_snntorch(modules, X)
    assert_same(roll(X, bank.layers(0)), theirs)
    loose = [type(each)(**{**vars(each), "strict": False}) for each in bank.layers(0)]
    assert not np.array_equal(roll(X, loose)[0], theirs[0])  # there are ties to get wrong


@pytest.mark.parametrize("hidden", [False, True], ids=["states passed", "init_hidden"])
@pytest.mark.parametrize(
    "options",
    [
        {"reset_mechanism": "subtract"},
        {"reset_mechanism": "none"},
        {"reset_mechanism": "zero", "reset_delay": False},
        {"reset_mechanism": "subtract", "all_to_all": False, "V": 0.25},
        {"reset_mechanism": "none", "all_to_all": False, "V": "each"},
        {"reset_mechanism": "none", "all_to_all": False, "V": "each", "learn_recurrent": False},
    ],
    ids=["subtract", "none", "zero at once", "one V", "V each", "V fixed"],
)
def test_recurrent_leaky_fires_the_same_bit_for_bit_on_the_grid(nn, snn, options, hidden):
    import torch

    if options.get("V") == "each":
        options = {**options, "V": torch.linspace(-1, 1, 12).mul(32).round() / 32}
    modules = leaky_pair(
        nn, snn, kind="RLeaky", widths=(12, 12), beta=0.5, init_hidden=hidden, **options
    )
    layers = GivenWitnesses.from_snntorch(modules).layers(0)
    assert all(layer.recurrent is not None for layer in layers)
    assert_same(roll(sequences(), layers), run_snntorch(modules, sequences()))


@pytest.mark.parametrize("threshold", [1.0, 0.0])
def test_zero_reset_at_once_is_the_hard_reset(nn, snn, threshold):
    modules = leaky_pair(nn, snn, reset_mechanism="zero", reset_delay=False, threshold=threshold)
    layers = GivenWitnesses.from_snntorch(modules).layers(0)
    assert all(layer.hard for layer in layers)
    assert_same(roll(sequences(), layers), run_snntorch(modules, sequences()))


@pytest.mark.parametrize("reset", ["zero", "none"])
def test_negative_thresholds_where_no_reset_comes_before_the_first_step(nn, snn, reset):
    modules = leaky_pair(nn, snn, reset_mechanism=reset, threshold=-0.5)
    layers = GivenWitnesses.from_snntorch(modules).layers(0)
    assert_same(roll(sequences(), layers), run_snntorch(modules, sequences()))


def test_layers_that_pass_signals_on_and_the_readout_are_left_out(nn, snn):
    modules = leaky_pair(nn, snn, init_hidden=True)
    net = nn.Sequential(
        nn.Flatten(),
        nn.Sequential(modules[0], nn.Dropout(0.5), modules[1]),
        nn.Identity(),
        modules[2],
        nn.Dropout(0.0),
        modules[3],
        nn.Linear(12, 3),
    )
    net[1].eval()
    layers = GivenWitnesses.from_snntorch(net).layers(0)
    assert [layer.weights.shape for layer in layers] == [(8, 16), (16, 12)]
    assert_same(roll(sequences(), layers), run_snntorch(modules, sequences()))


def test_each_network_is_a_subnetwork(nn, snn):
    nets = [nn.Sequential(nn.Linear(3, 4), snn.Leaky(0.1 * k)) for k in range(1, 4)]
    bank = GivenWitnesses.from_snntorch(*nets, list(nets[0]), nn.ModuleList(nets[1]))
    assert bank.subnetworks == 5
    for k, net in enumerate([*nets, nets[0], nets[1]]):
        assert np.array_equal(bank.layers(k)[0].weights, net[0].weight.detach().numpy().T)


def own_forward(nn, snn):
    class Net(nn.Sequential):
        def forward(self, x):
            return super().forward(x + 1)

    return Net(nn.Linear(8, 4), snn.Leaky(0.5))


def subclass(nn, snn):
    class Other(snn.Leaky):
        pass

    return [nn.Linear(8, 4), Other(0.5)]


def reset_set_later(nn, snn):
    neuron = snn.Leaky(0.5)
    neuron.reset_mechanism = "zero"
    return [nn.Linear(8, 4), neuron]


def shared(nn, snn):
    neuron = snn.Leaky(0.5, init_hidden=True)
    return nn.Sequential(nn.Linear(4, 4), neuron, nn.Linear(4, 4), neuron)


def pruned(nn, snn):
    from torch.nn.utils import prune

    return [prune.l1_unstructured(nn.Linear(8, 4), "weight", 0.5), snn.Leaky(0.5)]


def parametrised(nn, snn):
    from torch.nn.utils import parametrizations

    return [parametrizations.weight_norm(nn.Linear(8, 4)), snn.Leaky(0.5)]


def leaky(**options):
    return lambda nn, snn: nn.Sequential(nn.Linear(8, 4), snn.Leaky(**{"beta": 0.5, **options}))


def rleaky(**options):
    options = {"beta": 0.5, "linear_features": 4, **options}
    return lambda nn, snn: [nn.Linear(8, 4), snn.RLeaky(**options)]


def behind(*names):
    """[Linear, Leaky] and more, from the names of their classes in torch.nn or snntorch."""

    def make(nn, snn):
        made = {
            "Linear": lambda: nn.Linear(4, 4),
            "Leaky": lambda: snn.Leaky(0.5),
            "Synaptic": lambda: snn.Synaptic(0.5, 0.5),
            "Alpha": lambda: snn.Alpha(0.5, 0.4),
            "Lapicque": lambda: snn.Lapicque(0.5),
            "Conv2d": lambda: nn.Conv2d(1, 1, 2),
            "BatchNorm1d": lambda: nn.BatchNorm1d(4),
            "ReLU": lambda: nn.ReLU(),
            "Flatten": lambda: nn.Flatten(0),
            "Dropout": lambda: nn.Dropout(0.5),
        }
        return nn.Sequential(nn.Linear(8, 4), snn.Leaky(0.5), *(made[name]() for name in names))

    return make


def altered(change, container=list):
    """[Linear, Leaky] after ``change(linear, leaky, net)``, as an nn.Sequential or a list."""

    def make(nn, snn):
        modules = nn.Linear(8, 4), snn.Leaky(0.5)
        net = nn.Sequential(*modules)
        change(*modules, net)
        return (
            net if container == "net" else nn.Sequential(net) if container == "inner" else modules
        )

    return make


def double_outputs(module):
    module.register_forward_hook(lambda module, inputs, output: 2 * output)


def triple_inputs(module):
    module.register_forward_pre_hook(lambda module, inputs: (3 * inputs[0],))


def own_forward_set(module):
    module.forward = lambda x: x


def recurrence_altered(change):
    def make(nn, snn):
        neuron = snn.RLeaky(0.5, linear_features=4)
        change(neuron.recurrent)
        return nn.Sequential(nn.Linear(8, 4), neuron)

    return make


def in_dtype(dtype):
    def make(nn, snn):
        import torch

        return nn.Sequential(nn.Linear(8, 4, dtype=getattr(torch, dtype)), snn.Leaky(0.5))

    return make


CHANGES = {
    "forward hook": (double_outputs, "expected no forward hooks"),
    "pre-hook": (triple_inputs, "expected no forward pre-hooks"),
    "forward set": (own_forward_set, "expected the forward of its class"),
}
ALTERED = {
    f"{name} on {where}": (make(change), place + told)
    for name, (change, told) in CHANGES.items()
    for where, make, place in (
        ("Linear", lambda f: altered(lambda a, b, c: f(a)), r"^layer 0 \(Linear\): "),
        ("Leaky", lambda f: altered(lambda a, b, c: f(b)), r"^layer 1 \(Leaky\): "),
        ("network", lambda f: altered(lambda a, b, c: f(c), "net"), "^network: "),
        (
            "inner",
            lambda f: altered(lambda a, b, c: f(c), "inner"),
            r"^layer 0 \(Sequential\): ",
        ),
        ("recurrence", recurrence_altered, r"^layer 1\.recurrent \(Linear\): "),
    )
}

SNNTORCH_REFUSALS = {
    **ALTERED,
    "complex": (in_dtype("complex64"), r"^layer 0 \(Linear\): expected real numbers, got .*64"),
    "meta Linear": (
        lambda nn, snn: [nn.Linear(8, 4, device="meta"), snn.Leaky(0.5)],
        r"^layer 0 \(Linear\): expected values, got a tensor on the meta device",
    ),
    "meta Leaky": (
        lambda nn, snn: [nn.Linear(8, 4), snn.Leaky(0.5).to("meta")],
        r"^layer 1 \(Leaky\): expected values, got a tensor on the meta device",
    ),
    "own forward": (own_forward, "network: expected an nn.Sequential or a list of layers.*Net"),
    "own forward inside": (
        lambda nn, snn: nn.Sequential(own_forward(nn, snn)),
        r"layer 0 \(Net\): expected Linear and Leaky or RLeaky layers only",
    ),
    "nothing": (lambda nn, snn: nn.Sequential(), "network: expected a Linear followed by Leaky"),
    "readout alone": (lambda nn, snn: [nn.Linear(2, 2)], "network: expected a Linear followed"),
    "no weights": (
        lambda nn, snn: [snn.Leaky(0.5)],
        r"layer 0 \(Leaky\): expected a Linear before",
    ),
    "subclass": (subclass, r"layer 1 \(Other\): expected Linear and Leaky or RLeaky layers only"),
    "set later": (reset_set_later, r"layer 1 \(Leaky\): .*'zero' set later"),
    "shared": (shared, r"layer 3 \(Leaky\): occurs twice"),
    "pruned": (pruned, r"layer 0 \(Linear\): expected no forward pre-hooks"),
    "parametrised": (parametrised, r"layer 0 \(ParametrizedLinear\): expected Linear and"),
    "two Leaky": (behind("Leaky"), r"layer 2 \(Leaky\): expected a Linear before it"),
    "Synaptic": (behind("Linear", "Synaptic"), r"layer 3 \(Synaptic\): expected Linear and"),
    "Alpha": (behind("Linear", "Alpha"), r"layer 3 \(Alpha\): expected Linear and"),
    "Lapicque": (behind("Linear", "Lapicque"), r"layer 3 \(Lapicque\): expected Linear and"),
    "Conv2d": (behind("Conv2d", "Leaky"), r"layer 2 \(Conv2d\): expected Linear and"),
    "BatchNorm1d": (behind("Linear", "BatchNorm1d"), r"layer 3 \(BatchNorm1d\): expected Linear"),
    "ReLU": (behind("Linear", "ReLU"), r"layer 3 \(ReLU\): expected Linear and"),
    "Flatten": (behind("Flatten"), r"layer 2 \(Flatten\): expected start_dim=1"),
    "Dropout": (behind("Dropout"), r"layer 2 \(Dropout\): drops at random while training"),
    "inhibition": (leaky(inhibition=True), r"layer 1 \(Leaky\): expected inhibition=False"),
    "quantised": (leaky(state_quant=lambda x: x), r"layer 1 \(Leaky\): expected state_quant=False"),
    "graded": (leaky(graded_spikes_factor=2.0), r"layer 1 \(Leaky\): expected graded_spikes_f"),
    "no delay": (leaky(reset_delay=False), r"layer 1 \(Leaky\): expected reset_delay=True"),
    "negative": (leaky(threshold=-1.0), r"layer 1 \(Leaky\): expected thresholds above 0"),
    "negative at once": (
        leaky(threshold=-1.0, reset_mechanism="zero", reset_delay=False),
        r"layer 1 \(Leaky\): expected thresholds above 0",
    ),
    "no step": (leaky(spike_grad=lambda x: x.sigmoid()), r"layer 1 \(Leaky\): expected spikes of"),
    "step elsewhere": (leaky(spike_grad=lambda x: (x > 1).float()), "expected spikes of a step"),
    "many betas": (
        lambda nn, snn: [nn.Linear(8, 4), snn.Leaky(nn.Linear(1, 3).bias)],
        r"layer 1 \(Leaky\): leak: expected a number or shape \(4,\), got \(3,\)",
    ),
    "recurrent zero": (
        rleaky(reset_mechanism="zero"),
        r"layer 1 \(RLeaky\): expected reset_delay=False with reset_mechanism='zero'",
    ),
    "recurrent no delay": (
        rleaky(reset_delay=False),
        r"layer 1 \(RLeaky\): expected reset_delay=T",
    ),
    "recurrent conv": (
        rleaky(linear_features=None, conv2d_channels=4, kernel_size=3),
        r"layer 1 \(RLeaky\): expected a Linear recurrence, got Conv2d",
    ),
}


@pytest.mark.filterwarnings("ignore:Inhibition")
@pytest.mark.parametrize(
    ("make", "message"), SNNTORCH_REFUSALS.values(), ids=SNNTORCH_REFUSALS.keys()
)
def test_snntorch_layers_that_compute_something_else_are_refused(nn, snn, make, message):
    with pytest.raises(ValueError, match=message):
        GivenWitnesses.from_snntorch(make(nn, snn))


def test_refused_resets_are_other_networks(nn, snn):
    # what reset_delay=False and RLeaky's "zero" compute is no reset that a layer has
    X = 2 * sequences()
    for options in (
        {"reset_mechanism": "subtract", "reset_delay": False},
        {"kind": "RLeaky", "reset_mechanism": "zero"},
    ):
        modules = leaky_pair(nn, snn, beta=0.5, **options)
        theirs = run_snntorch(modules, X)[0]
        (layer, _) = GivenWitnesses.from_snntorch(
            leaky_pair(
                nn, snn, beta=0.5, **{**options, "reset_mechanism": "none", "reset_delay": 1}
            )
        ).layers(0)
        built = {name: getattr(layer, name) for name in ("weights", "bias", "recurrent")}
        for reset in ("delayed", "immediate", "hard"):
            other = type(layer).build(**built, leak=0.5, threshold=1.0, reset=reset, strict=True)
            assert (roll(X, [other])[0] != theirs).mean() > 0.001


def test_a_batch_norm_can_be_folded_as_its_refusal_says(nn, snn):
    import torch
    from torch.nn.utils.fusion import fuse_linear_bn_eval

    first, leaky = leaky_pair(nn, snn)[:2]
    norm = nn.BatchNorm1d(16).double()
    with torch.no_grad():
        norm(first(torch.tensor(sequences().reshape(-1, 8))))  # statistics to fold
    norm.eval()
    with pytest.raises(ValueError, match=r"layer 1 \(BatchNorm1d\): .*fuse_linear_bn_eval"):
        GivenWitnesses.from_snntorch([first, norm, leaky])
    folded = GivenWitnesses.from_snntorch([fuse_linear_bn_eval(first.eval(), norm), leaky])
    ours = roll(sequences(), folded.layers(0))
    assert_same(ours, run_snntorch([first, norm, leaky], sequences()), FLIPS)
    plain = GivenWitnesses.from_snntorch([first, leaky])
    assert (roll(sequences(), plain.layers(0))[0] != ours[0]).mean() > 0.01


# spikingjelly


def node_pair(nn, sj, make, exact=True, kind=None):
    """[Linear, node, Linear, node] in float64; ``make`` the node."""
    modules = [linear(nn, 8, 16, 0, exact=exact), make(sj), linear(nn, 16, 12, 1, exact=exact)]
    return [*modules, make(sj)] if kind is None else modules


def run_spikingjelly(modules, X, mode="s"):
    """Spikes of every node, in either step mode."""
    import torch
    from spikingjelly.activation_based import functional

    spikes, signal = [], torch.tensor(X.transpose(1, 0, 2))
    for module in modules:
        functional.reset_net(module)
        functional.set_step_mode(module, mode)
        with torch.no_grad():
            if mode == "s":
                signal = torch.stack([module(step) for step in signal])
            else:
                signal = module(signal)
        if hasattr(module, "v_threshold"):
            spikes.append(signal.numpy().transpose(1, 0, 2))
    return spikes


NODES = {
    "soft": lambda sj: sj.neuron.LIFNode(tau=2.0, v_reset=None),
    "soft, whole input": lambda sj: sj.neuron.LIFNode(tau=2.0, v_reset=None, decay_input=False),
    "hard": lambda sj: sj.neuron.LIFNode(tau=4.0, v_threshold=0.5),
    "hard, whole input": lambda sj: sj.neuron.LIFNode(tau=4.0, decay_input=False),
    "hard to -1/2": lambda sj: sj.neuron.LIFNode(tau=2.0, v_reset=-0.5, v_threshold=0.25),
    "hard to 1/4, whole": lambda sj: sj.neuron.LIFNode(tau=2.0, v_reset=0.25, decay_input=False),
    "parametric": lambda sj: sj.neuron.ParametricLIFNode(init_tau=2.0, v_reset=None),
    "parametric, whole": lambda sj: sj.neuron.ParametricLIFNode(init_tau=2.0, decay_input=False),
    "integrate soft": lambda sj: sj.neuron.IFNode(v_reset=None),
    "integrate hard": lambda sj: sj.neuron.IFNode(),
    "integrate to -1/2": lambda sj: sj.neuron.IFNode(v_reset=-0.5),
}
OFF_GRID = {
    "soft": lambda sj: sj.neuron.LIFNode(tau=3.0, v_reset=None),
    "soft, whole input": lambda sj: sj.neuron.LIFNode(tau=10.0, v_reset=None, decay_input=False),
    "hard": lambda sj: sj.neuron.LIFNode(tau=1.7, v_threshold=0.7),
    "hard, whole input": lambda sj: sj.neuron.LIFNode(tau=5.0, decay_input=False),
    "hard to 0.1": lambda sj: sj.neuron.LIFNode(tau=3.0, v_reset=0.1),
    "parametric": lambda sj: sj.neuron.ParametricLIFNode(init_tau=3.0, v_reset=None),
    "integrate soft": lambda sj: sj.neuron.IFNode(v_reset=None, v_threshold=0.7),
}


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("make", NODES.values(), ids=NODES)
def test_nodes_fire_the_same_bit_for_bit_on_the_grid(nn, sj, make, mode):
    X = sequences(steps=10)  # a tau of 4 takes two bits a step: ten steps stay exact sums
    modules = node_pair(nn, sj, make)
    layers = GivenWitnesses.from_spikingjelly(nn.Sequential(*modules)).layers(0)
    assert_same(roll(X, layers), run_spikingjelly(modules, X, mode))


@pytest.mark.parametrize("make", OFF_GRID.values(), ids=OFF_GRID)
@pytest.mark.parametrize("single", [False, True], ids=["float64", "float32"])
def test_nodes_off_the_grid_flip_next_to_nothing(nn, sj, make, single):
    X = np.random.default_rng(1).normal(size=(400, 28, 8))
    modules = node_pair(nn, sj, make, exact=False)
    if single:
        modules, X = [module.float() for module in modules], X.astype(np.float32)
    layers = GivenWitnesses.from_spikingjelly(modules).layers(0)
    assert_same(roll(X.astype(np.float64), layers), run_spikingjelly(modules, X, "m"), FLIPS)


@pytest.mark.parametrize("v_reset", [None, 0.0], ids=["soft", "hard"])
def test_ties_at_the_threshold_fire_in_spikingjelly(nn, sj, v_reset):
    import torch

    modules = node_pair(nn, sj, lambda sj: sj.neuron.IFNode(v_threshold=2.0, v_reset=v_reset))
    for module in (modules[0], modules[2]):
        for parameter in module.parameters():
            parameter.data = torch.round(2 * parameter.data)
    X = np.rint(sequences())
    bank = GivenWitnesses.from_spikingjelly(modules)
    theirs = run_spikingjelly(modules, X)
    assert_same(roll(X, bank.layers(0)), theirs)
    strict = [type(each)(**{**vars(each), "strict": True}) for each in bank.layers(0)]
    assert not np.array_equal(roll(X, strict)[0], theirs[0])


def test_spikingjelly_layers_that_pass_signals_on(nn, sj):
    net = nn.Sequential(
        sj.layer.Flatten(),
        sj.layer.Linear(8, 4, bias=False),
        sj.layer.Dropout(0.5).eval(),
        sj.neuron.IFNode(),
        sj.layer.Linear(4, 2),
    )
    (layer,) = GivenWitnesses.from_spikingjelly(net).layers(0)
    assert np.array_equal(layer.weights, net[1].weight.detach().numpy().T)
    assert not layer.bias.any()


def starts_elsewhere(sj):
    node = sj.neuron.IFNode(v_reset=None)
    node.set_reset_value("v", 0.5)
    return node


SPIKINGJELLY_REFUSALS = {
    "subclass": (
        lambda sj: sj.neuron.LIAFNode(lambda x: x, True),
        "expected Linear and LIFNode or",
    ),
    "quadratic": (lambda sj: sj.neuron.QIFNode(), "expected Linear and LIFNode or"),
    "half threshold": (lambda sj: sj.neuron.HalfThresholdIFNode(), "expected Linear and LIFNode"),
    "starts elsewhere": (starts_elsewhere, "expected a membrane that starts at 0.0, got 0.5"),
    "no spikes": (
        lambda sj: sj.neuron.IFNode(surrogate_function=sj.surrogate.Sigmoid(spiking=False)),
        "expected spikes of a step at the threshold, got",
    ),
    "chance": (
        lambda sj: sj.neuron.IFNode(surrogate_function=sj.surrogate.PoissonPass()),
        "expected spikes of a step at the threshold",
    ),
    "dropout": (lambda sj: sj.layer.Dropout(0.5), "drops at random while training"),
    "convolution": (lambda sj: sj.layer.Conv1d(1, 1, 2), "expected Linear and LIFNode"),
}


@pytest.mark.parametrize(
    ("make", "message"), SPIKINGJELLY_REFUSALS.values(), ids=SPIKINGJELLY_REFUSALS.keys()
)
def test_spikingjelly_layers_that_compute_something_else_are_refused(nn, sj, make, message):
    module = make(sj)
    with pytest.raises(ValueError, match=rf"layer 1 \({type(module).__name__}\): {message}"):
        GivenWitnesses.from_spikingjelly(nn.Sequential(nn.Linear(8, 4), module))


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES.keys())
def test_spikingjelly_modules_that_hooks_change_are_refused(nn, sj, change, message):
    for index, where in enumerate(
        [r"layer 0 \(Linear\)", r"layer 1 \(IFNode\)", r"layer 1.surrogate_function \(Sigmoid\)"]
    ):
        # a surrogate of its own, for nodes share the one that is their default
        node = sj.neuron.IFNode(surrogate_function=sj.surrogate.Sigmoid())
        net = nn.Sequential(sj.layer.Linear(8, 4), node)
        change([*net, net[1].surrogate_function][index])
        with pytest.raises(ValueError, match=f"^{where}: {message}"):
            GivenWitnesses.from_spikingjelly(net)


def test_the_state_that_a_node_holds_is_ignored(nn, sj):
    X = sequences(steps=10)
    modules = node_pair(nn, sj, NODES["soft"])
    theirs = run_spikingjelly(modules, X)
    assert modules[1].v.any()
    assert_same(roll(X, GivenWitnesses.from_spikingjelly(modules).layers(0)), theirs)


# NIR

DT = 1e-4


def euler(neurons, current, dt):
    """Spikes of a NIR neuron node under ``current`` (n, T, m), by Euler's steps."""
    v = np.zeros_like(current[:, 0])
    spikes = np.empty_like(current)
    for t in range(current.shape[1]):
        if hasattr(neurons, "tau"):
            change = (neurons.v_leak - v + neurons.r * current[:, t]) / neurons.tau
        else:
            change = neurons.r * current[:, t]
        v = v + dt * change
        spikes[:, t] = v > neurons.v_threshold
        v = np.where(spikes[:, t] > 0, neurons.v_reset, v)
    return spikes


def affine(nir, fan_in, width, seed):
    generator = np.random.default_rng(seed)
    weight = on_grid(0.7 * generator.normal(size=(width, fan_in)))
    return nir.Affine(weight, on_grid(generator.normal(size=width)))


def lif(nir, m, **changes):
    parts = {"tau": 4.0, "r": 3.0, "v_leak": 0.5, "v_threshold": 1.0, "v_reset": 0.0, **changes}
    return nir.LIF(**{name: np.full(m, value) for name, value in parts.items()})


def test_lif_and_if_nodes_fire_as_eulers_steps_of_their_equations(nir):
    X = sequences(steps=10)
    weights, last = affine(nir, 8, 16, 0), nir.Linear(affine(nir, 16, 12, 1).weight)
    first = lif(nir, 16, tau=np.repeat([2.0, 4.0, 8.0, 1.0], 4), r=np.repeat([3.0, 1.0], 8))
    second = nir.IF(np.full(12, 0.5), np.linspace(0.25, 3, 12), np.zeros(12))
    graph = nir.NIRGraph.from_list(nir.Input(np.array([8])), weights, first, last, second)
    layers = GivenWitnesses.from_nir(graph, dt=1.0).layers(0)
    spikes = euler(first, X @ weights.weight.T + weights.bias, 1.0)
    assert_same(roll(X, layers), [spikes, euler(second, spikes @ last.weight.T, 1.0)])


def test_half_the_step_is_another_network(nir):
    graph = nir.NIRGraph.from_list(affine(nir, 8, 16, 0), lif(nir, 16))
    whole, half = (GivenWitnesses.from_nir(graph, dt=dt).layers(0) for dt in (1.0, 0.5))
    assert (whole[0].leak[0], half[0].leak[0]) == (0.75, 0.875)
    assert (roll(sequences(), whole)[0] != roll(sequences(), half)[0]).mean() > 0.01


def test_nir_neurons_do_not_fire_at_the_threshold(nir):
    neurons = nir.IF(np.ones(1), np.ones(1), np.zeros(1))
    graph = nir.NIRGraph.from_list(nir.Linear(np.ones((1, 1))), neurons)
    layers = GivenWitnesses.from_nir(graph, dt=1.0).layers(0)
    assert roll(np.ones((1, 4, 1)), layers)[0].ravel().tolist() == [0, 1, 0, 1]


def test_a_bias_survives_the_file(nir, tmp_path):
    node = affine(nir, 8, 4, 0)
    graph = nir.NIRGraph.from_list(node, lif(nir, 4, r=1.0, v_leak=0.0, tau=1.0))
    nir.write(tmp_path / "net.nir", graph)
    for source in (graph, tmp_path / "net.nir", str(tmp_path / "net.nir")):
        (layer,) = GivenWitnesses.from_nir(source, dt=1.0).layers(0)
        assert node.bias.any()
        assert np.array_equal(layer.bias, node.bias)
        assert np.array_equal(layer.weights, node.weight.T)


def loop(nir, weight, *, integrator=None, m=6):
    """Affine -> LI -> Threshold, and from there a Linear back into the LI."""
    nodes = {
        "input": nir.Input(np.array([8])),
        "affine": affine(nir, 8, m, 0),
        "states": integrator or nir.LI(np.full(m, 4.0), np.full(m, 2.0), np.zeros(m)),
        "threshold": nir.Threshold(np.ones(m)),
        "back": nir.Linear(weight),
        "output": nir.Output(np.array([m])),
    }
    edges = [("input", "affine"), ("affine", "states"), ("states", "threshold")]
    edges += [("threshold", "back"), ("back", "states"), ("threshold", "output")]
    return nir.NIRGraph(nodes, edges)


def run_loop(graph, X):
    """Its spikes in steps of dt = 1, the loop a step late."""
    affine, states, back = (graph.nodes[name] for name in ("affine", "states", "back"))
    v = np.zeros((len(X), len(affine.bias)))
    s, spikes = np.zeros_like(v), []
    for t in range(X.shape[1]):
        current = X[:, t] @ affine.weight.T + affine.bias + s @ back.weight.T
        if hasattr(states, "tau"):
            v = v + (states.v_leak - v + states.r * current) / states.tau
        else:
            v = v + states.r * current
        s = (v > graph.nodes["threshold"].threshold).astype(float)
        spikes.append(s)
    return [np.stack(spikes, axis=1)]


def test_a_loop_of_minus_g_is_a_soft_reset_by_g(nir, tmp_path):
    X = sequences(steps=10)
    thresholds, gain, leak = 1.0, 0.5, 0.75  # of loop(): r dt / tau and 1 - dt / tau
    for reset, amount in (("delayed", thresholds), ("immediate", leak * thresholds)):
        graph = loop(nir, -amount / gain * np.eye(6))
        nir.write(tmp_path / "loop.nir", graph)
        (layer,) = GivenWitnesses.from_nir(tmp_path / "loop.nir", dt=1.0).layers(0)
        named = type(layer).build(layer.weights, leak, thresholds, reset, layer.bias, strict=True)
        assert layer.recurrent is None
        assert np.array_equal(layer.reset, named.reset)
        assert_same(roll(X, [layer]), run_loop(graph, X))


@pytest.mark.parametrize("integrate", [False, True], ids=["LI", "I"])
def test_another_loop_is_a_recurrence(nir, integrate):
    X = sequences(steps=10)
    weight = on_grid(np.random.default_rng(3).normal(size=(6, 6)))
    states = nir.I(np.full(6, 0.5)) if integrate else None
    for back in (weight, weight - 3 * np.eye(6), np.diag([*np.linspace(-1, 1, 5), 0.5])):
        graph = loop(nir, back, integrator=states)
        (layer,) = GivenWitnesses.from_nir(graph, dt=1.0).layers(0)
        assert layer.recurrent is not None
        assert_same(roll(X, [layer]), run_loop(graph, X))


@pytest.mark.parametrize("diagonal", [False, True])
def test_a_loop_around_lif_is_a_recurrence_beside_its_hard_reset(nir, diagonal):
    weight = on_grid(np.random.default_rng(3).normal(size=(6, 6)))
    weight = -np.eye(6) if diagonal else weight
    nodes = {
        "input": nir.Input(np.array([8])),
        "affine": affine(nir, 8, 6, 0),
        "lif": lif(nir, 6, r=2.0, v_leak=0.0),
        "back": nir.Linear(weight),
        "output": nir.Output(np.array([6])),
    }
    edges = [("input", "affine"), ("affine", "lif"), ("lif", "back"), ("back", "lif")]
    graph = nir.NIRGraph(nodes, [*edges, ("lif", "output")])
    (layer,) = GivenWitnesses.from_nir(graph, dt=1.0).layers(0)
    assert layer.hard
    assert np.array_equal(layer.recurrent, 0.5 * weight.T)


def test_threshold_nodes_alone_are_threshold_units(nir):
    X = sequences()
    node = affine(nir, 8, 6, 0)
    graph = nir.NIRGraph.from_list(node, nir.Threshold(np.linspace(-1, 1, 6)))
    layers = GivenWitnesses.from_nir(graph, dt=1.0).layers(0)
    expected = X @ node.weight.T + node.bias > np.linspace(-1, 1, 6)
    assert_same(roll(X, layers), [expected.astype(float)])


def test_a_threshold_node_takes_the_states_before_it_and_no_earlier_ones(nir):
    states = nir.LI(np.full(6, 4.0), np.ones(6), np.zeros(6))
    unit = nir.Threshold(np.ones(6))
    nodes = [affine(nir, 8, 6, 0), states, unit, affine(nir, 6, 6, 1), unit]
    layers = GivenWitnesses.from_nir(nir.NIRGraph.from_list(*nodes), dt=1.0).layers(0)
    assert [layer.leak.tolist() for layer in layers] == [[0.75] * 6, [0.0] * 6]


def test_flatten_passes_and_readouts_are_left_out(nir):
    nodes = [
        nir.Input(np.array([2, 4])),
        nir.Flatten(np.array([2, 4]), 0, -1),
        affine(nir, 8, 4, 0),
        lif(nir, 4),
        affine(nir, 4, 3, 1),
        nir.LI(np.ones(3), np.ones(3), np.zeros(3)),
    ]
    bank = GivenWitnesses.from_nir(nir.NIRGraph.from_list(*nodes), dt=0.5)
    assert (bank.inputs, bank.hidden) == (8, (4,))
    bank = GivenWitnesses.from_nir(*[nir.NIRGraph.from_list(*nodes[:-1])] * 3, dt=0.5)
    assert (bank.hidden, bank.subnetworks) == ((4,), 3)


def test_scalar_parameters_hold_for_all_neurons(nir, tmp_path):
    nodes = {
        "input": nir.Input(np.array([8])),
        "affine": affine(nir, 8, 4, 0),
        "lif": nir.LIF(*(np.array(value) for value in (2.0, 1.0, 0.0, 1.0, 0.0))),
        "output": nir.Output(np.array([4])),
    }
    edges = [("input", "affine"), ("affine", "lif"), ("lif", "output")]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    nir.write(tmp_path / "net.nir", graph, compression=None)  # HDF5 compresses no scalars
    for source in (graph, tmp_path / "net.nir"):
        (layer,) = GivenWitnesses.from_nir(source, dt=1.0).layers(0)
        assert layer.leak.tolist() == [0.5] * 4


def test_snntorch_zero_reset_comes_back_from_nir(nn, snn, nir, tmp_path):
    import torch
    from snntorch.export_nir import export_to_nir

    X = sequences(n=200)
    modules = leaky_pair(
        nn, snn, exact=False, init_hidden=True, reset_mechanism="zero", beta=torch.full((16,), 0.9),
        threshold=torch.linspace(0.5, 1.5, 16), widths=(16, 16),
    )  # fmt: skip
    theirs = run_snntorch(modules, X)
    net = nn.Sequential(*modules).float()
    graph = export_to_nir(net, torch.rand(8))
    nir.write(tmp_path / "net.nir", graph)
    layers = GivenWitnesses.from_nir(tmp_path / "net.nir", dt=DT).layers(0)
    direct = GivenWitnesses.from_snntorch(net).layers(0)
    # the file holds float32 of weights and tau
    for ours, expected in zip(layers, direct, strict=True):
        assert np.allclose(ours.weights, expected.weights, rtol=1e-6, atol=0)
        assert np.allclose(ours.leak, expected.leak, rtol=1e-6, atol=0)
        assert np.allclose(ours.bias, expected.bias, rtol=1e-6, atol=0)
        assert ours.hard
        assert expected.hard
    assert_same(roll(X, layers), theirs, FLIPS)


def test_snntorch_exporter_turns_subtract_into_a_hard_reset(nn, snn, nir):
    # documented in from_nir; if this fails the exporter has learned to tell, and so may we
    import torch
    from snntorch.export_nir import export_to_nir

    neuron = snn.Leaky(torch.full((4,), 0.9), threshold=torch.ones(4), init_hidden=True)
    net = nn.Sequential(nn.Linear(8, 4), neuron)
    assert not GivenWitnesses.from_snntorch(net).layers(0)[0].hard
    graph = export_to_nir(net, torch.rand(8))
    assert GivenWitnesses.from_nir(graph, dt=DT).layers(0)[0].hard


@pytest.mark.parametrize("decay_input", [False, True])
def test_spikingjelly_hard_reset_comes_back_from_nir(nn, sj, nir, tmp_path, decay_input):
    import torch
    from spikingjelly.activation_based import nir_exchange

    X = sequences(n=200)
    nodes = [
        sj.neuron.LIFNode(tau=3.0, decay_input=decay_input, v_threshold=0.5),
        sj.neuron.IFNode(v_threshold=0.5),
    ]
    modules = [linear(nn, 8, 16, 0, exact=False), nodes[0]]
    modules += [linear(nn, 16, 12, 1, exact=False), nodes[1]]  # no ties: NIR does not fire there
    nir_exchange.export_to_nir(
        nn.Sequential(*modules), torch.zeros(1, 8).double(), tmp_path / "net.nir", dt=DT
    )
    layers = GivenWitnesses.from_nir(tmp_path / "net.nir", dt=DT).layers(0)
    assert_same(roll(X, layers), run_spikingjelly(modules, X), FLIPS)


def chain(*make):
    """A graph of Affine, LIF and more, unchecked; each from a function of nir."""

    def graph(nir):
        nodes = [affine(nir, 8, 4, 0), *(node(nir) for node in make)]
        return nir.NIRGraph.from_list(*nodes, type_check=False)

    return graph


def four(name, *values):
    return lambda nir: getattr(nir, name)(*(np.full(4, value) for value in values))


def branch(nir):
    nodes = {
        "input": nir.Input(np.array([8])),
        "affine": affine(nir, 8, 4, 0),
        "lif": lif(nir, 4),
        "skip": affine(nir, 8, 4, 0),
        "output": nir.Output(np.array([4])),
    }
    edges = [("input", "affine"), ("affine", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes, [*edges, ("input", "skip"), ("skip", "lif")])


def nested(nir):
    inner = nir.NIRGraph.from_list(nir.Input(np.array([4])), lif(nir, 4))
    return nir.NIRGraph.from_list(affine(nir, 8, 4, 0), inner, type_check=False)


def two_inputs(nir):
    nodes = {
        "a": nir.Input(np.array([8])),
        "b": nir.Input(np.array([8])),
        "affine": affine(nir, 8, 4, 0),
        "output": nir.Output(np.array([4])),
    }
    return nir.NIRGraph(nodes, [("a", "affine"), ("b", "affine"), ("affine", "output")])


def two_loops(nir):
    graph = loop(nir, np.eye(6))
    graph.nodes["other"] = nir.Affine(-np.eye(6), np.ones(6))
    graph.edges += [("threshold", "other"), ("other", "states")]
    return graph


def wide_loop(nir):
    graph = loop(nir, np.eye(6))
    graph.nodes["back"] = nir.Linear(np.ones((5, 6)))
    return graph


def with_edge(nir, edge):
    graph = chain(lif_node)(nir)
    graph.edges.append(edge)
    return graph


def island(nir):
    graph = chain(lif_node)(nir)
    graph.nodes["island"] = lif(nir, 4)
    return graph


def lif_node(nir):
    return lif(nir, 4)


NIR_REFUSALS = {
    "no neurons": (chain(), "graph: expected spiking nodes, found none"),
    "branch": (branch, r"node input: expected a chain of nodes, got edges to \['affine', 'skip'\]"),
    "two inputs": (two_inputs, r"graph: expected one Input node, got \['a', 'b'\]"),
    "two loops": (two_loops, r"node affine: expected a chain .*\['affine', 'other'\].*only Affine"),
    "loop into the input": (
        lambda nir: with_edge(nir, ("lif", "input")),
        r"node input: expected no edges into it, got \['lif'\]",
    ),
    "loop from the output": (
        lambda nir: with_edge(nir, ("output", "affine")),
        r"node output: expected no edges from it, got \['affine'\]",
    ),
    "loop without weights": (
        lambda nir: with_edge(nir, ("lif", "lif")),
        r"node affine: expected a chain .* 'lif'",
    ),
    "loop of a wrong width": (
        wide_loop,
        r"node threshold .*recurrent weight of shape",
    ),
    "edges that are no pairs": (
        lambda nir: with_edge(nir, ("lif", "lif", "lif")),
        "graph: expected edges as pairs",
    ),
    "edges to nowhere": (
        lambda nir: with_edge(nir, ("lif", "nowhere")),
        "graph: expected edges between its nodes",
    ),
    "island": (island, "graph: expected one chain, got other nodes {'island'}"),
    "nested": (nested, r"node nirgraph \(NIRGraph\): expected Affine, Linear"),
    "CubaLIF": (chain(four("CubaLIF", 2, 2, 1, 0, 1, 0)), r"node cubalif \(CubaLIF\): expected Af"),
    "Delay": (chain(four("Delay", 1.0), lif_node), r"node delay \(Delay\): expected Affine"),
    "Scale": (chain(four("Scale", 2.0), lif_node), r"node scale \(Scale\): expected Affine"),
    "LI inside": (
        chain(four("LI", 2, 1, 0), lambda nir: affine(nir, 4, 4, 1), lif_node),
        r"node li \(LI\): expected a Threshold after it",
    ),
    "no weights": (chain(lif_node, lif_node), r"node lif_1 \(LIF\): expected an Affine or Linear"),
    "two affine": (
        chain(lambda nir: affine(nir, 5, 4, 1), lif_node),
        r"node lif \(LIF\): expected 4 inputs, the outputs of the layer before it, got 5",
    ),
    "v_reset": (
        chain(lambda nir: lif(nir, 4, v_reset=0.25)),
        r"node lif \(LIF\): expected v_reset 0, got \[0.25",
    ),
    "short tau": (
        chain(lambda nir: lif(nir, 4, tau=0.5)),
        r"node lif \(LIF\): tau: expected finite times of at least dt = 1.0, got \[0.5",
    ),
    "complex weights": (
        lambda nir: nir.NIRGraph.from_list(nir.Linear(np.full((4, 8), 1j)), lif(nir, 4)),
        r"node linear \(Linear\): weight: expected numbers, got complex numbers",
    ),
    "complex threshold": (
        chain(lambda nir: lif(nir, 4, v_threshold=1 + 1j)),
        r"node lif \(LIF\): threshold: expected numbers, got complex",
    ),
    "complex tau": (
        chain(lambda nir: lif(nir, 4, tau=2 + 1j)),
        r"node lif \(LIF\): tau: expected numbers, got complex",
    ),
    "endless tau": (chain(lambda nir: lif(nir, 4, tau=np.inf)), r"node lif \(LIF\): tau: expected"),
    "widths": (chain(lambda nir: lif(nir, 3)), r"node lif \(LIF\)"),
    "flatten": (
        chain(lambda nir: nir.Flatten(np.array([4]), 1, -1), lif_node),
        r"node flatten \(Flatten\): expected start_dim=0",
    ),
    "not a graph": (lif_node, "graph: expected a NIRGraph or the path of a file, got LIF"),
}


@pytest.mark.parametrize(("make", "message"), NIR_REFUSALS.values(), ids=NIR_REFUSALS.keys())
def test_nir_nodes_that_compute_something_else_are_refused(nir, make, message):
    with pytest.raises(ValueError, match=message):
        GivenWitnesses.from_nir(make(nir), dt=1.0)


def test_a_file_that_cannot_be_read_is_an_os_error(nir, tmp_path):
    (tmp_path / "other.nir").write_bytes(b"no HDF5")
    for name in ("absent.nir", "other.nir"):
        with pytest.raises(OSError, match="open file"):
            GivenWitnesses.from_nir(tmp_path / name, dt=1.0)


@pytest.mark.parametrize("name", ["x", "node"])
def test_a_file_of_something_else_is_a_value_error_that_names_it(nir, tmp_path, name):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "keras\x1b[2J.h5"
    with h5py.File(path, "w") as file:
        file[name] = [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=r"keras\\x1b\[2J.h5: expected the file of a NIR graph: "):
        GivenWitnesses.from_nir(path, dt=1.0)


@pytest.mark.parametrize(
    "dt", [0.0, -1.0, np.inf, np.nan, "1e-4", None, 1j, True, np.timedelta64(1)]
)
def test_steps_are_positive(nir, dt):
    with pytest.raises(ValueError, match="dt: expected a positive number of seconds"):
        GivenWitnesses.from_nir(chain(lif_node)(nir), dt=dt)


@pytest.mark.parametrize("kind", ["LIF", "LI", "I", "IF"])
@pytest.mark.parametrize("biases", [1, 2])
def test_a_loop_through_affine_nodes_adds_its_bias_at_every_step(nir, kind, biases):
    X = sequences(steps=10)
    rng = np.random.default_rng(5)
    backs = [
        nir.Affine(on_grid(rng.normal(size=(6, 6))) / 2, on_grid(rng.normal(size=6)) / 8)
        for _ in range(biases)
    ]
    neurons = {
        "LIF": lif(nir, 6, r=2.0, v_leak=0.0),
        "IF": nir.IF(np.full(6, 0.5), np.ones(6), np.zeros(6)),
        "LI": nir.LI(np.full(6, 4.0), np.full(6, 2.0), np.zeros(6)),
        "I": nir.I(np.full(6, 0.5)),
    }[kind]
    first = affine(nir, 8, 6, 0)
    chained = ["input", "affine", "neurons", *(["threshold"] if kind in ("LI", "I") else [])]
    looped = [chained[-1], *(f"back{k}" for k in range(biases)), "neurons"]
    nodes = {
        "input": nir.Input(np.array([8])),
        "affine": first,
        "neurons": neurons,
        "threshold": nir.Threshold(np.ones(6)),
        "output": nir.Output(np.array([6])),
        **{f"back{k}": back for k, back in enumerate(backs)},
    }
    edges = [*itertools.pairwise([*chained, "output"]), *itertools.pairwise(looped)]
    used = {name for edge in edges for name in edge}
    graph = nir.NIRGraph({name: nodes[name] for name in used}, edges)
    (layer,) = GivenWitnesses.from_nir(graph, dt=1.0).layers(0)

    leak = 0.75 if kind in ("LIF", "LI") else 1.0
    v = s = np.zeros((len(X), 6))
    spikes = []
    for t in range(X.shape[1]):
        back = s
        for node in backs:
            back = back @ node.weight.T + node.bias
        current = X[:, t] @ first.weight.T + first.bias + back
        v = leak * (v if kind in ("LI", "I") else np.where(s > 0, 0, v)) + 0.5 * current
        s = (v > 1.0).astype(float)
        spikes.append(s)
    assert_same(roll(X, [layer]), [np.stack(spikes, axis=1)])


def test_snntorch_recurrence_comes_back_from_nir(nn, snn, nir):
    import torch
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(0)
    neuron = snn.RLeaky(
        torch.full((6,), 0.9), linear_features=6, threshold=torch.full((6,), 0.5),
        init_hidden=True, reset_mechanism="zero", reset_delay=False,
    )  # fmt: skip
    net = nn.Sequential(nn.Linear(8, 6), neuron)
    (layer,) = GivenWitnesses.from_nir(export_to_nir(net, torch.rand(8)), dt=DT).layers(0)
    (direct,) = GivenWitnesses.from_snntorch(net).layers(0)
    for part in ("weights", "bias", "leak", "recurrent"):
        assert np.allclose(getattr(layer, part), getattr(direct, part), rtol=1e-5, atol=1e-7)


def test_linear_layers_in_a_row_are_their_product(nn, snn, sj, nir):
    import torch

    torch.manual_seed(2)
    first, second, third = nn.Linear(8, 6), nn.Linear(6, 5, bias=False), nn.Linear(5, 4)
    parts = [[m.weight.detach().numpy().astype(float), m.bias] for m in (first, second, third)]
    maps = [
        (weight, np.zeros(len(weight)) if bias is None else bias.detach().numpy().astype(float))
        for weight, bias in parts
    ]
    W, b = maps[0]
    for weight, bias in maps[1:]:
        W, b = weight @ W, weight @ b + bias
    nodes = [nir.Affine(weight, bias) for weight, bias in maps]
    banks = [
        GivenWitnesses.from_snntorch([first, nn.Flatten(), second, third, snn.Leaky(0.5), first]),
        GivenWitnesses.from_spikingjelly([first, second, third, sj.neuron.IFNode()]),
        GivenWitnesses.from_nir(
            nir.NIRGraph.from_list(*nodes, lif(nir, 4, tau=1.0, r=1.0)), dt=1.0
        ),
    ]
    for bank in banks:
        (layer,) = bank.layers(0)
        assert np.allclose(layer.weights, W.T, rtol=0, atol=1e-15)
    for bank in banks[:2]:
        assert np.allclose(bank.layers(0)[0].bias, b, rtol=0, atol=1e-15)
    with pytest.raises(ValueError, match="expected 6 inputs, the outputs of the layer before it"):
        GivenWitnesses.from_snntorch([first, third, snn.Leaky(0.5)])


@pytest.mark.parametrize("name", ["beta", "threshold", "V"])
def test_constants_of_one_row_are_those_of_the_neurons(nn, snn, name):
    import torch

    values, layers = torch.linspace(0.5, 0.9, 6), []
    for constant in (values, values[None]):
        options = {"beta": 0.9, "V": 1.0} | {name: constant}
        V = options.pop("V")
        neuron = snn.RLeaky(**options, all_to_all=False, V=V)
        layers += GivenWitnesses.from_snntorch([linear(nn, 8, 6, 0), neuron]).layers(0)
    plain, row = layers
    for part in ("leak", "threshold", "reset", "recurrent"):
        assert np.array_equal(getattr(plain, part), getattr(row, part))
    neuron = snn.RLeaky(**{"beta": 0.9, "V": 1.0} | {name: values[:, None]}, all_to_all=False)
    with pytest.raises(ValueError, match=r"expected a number or shape \(6,\), got \(6, 1\)"):
        GivenWitnesses.from_snntorch([linear(nn, 8, 6, 0), neuron])


WRONG = (
    None, "text", b"bytes", 0.0, -1, np.nan, np.inf, 1e308, 1j, [], {}, [[1.0], [1.0, 2.0]],
    np.zeros(0), np.ones((2, 2, 2)), np.ones((1, 4)), np.ones((4, 1)), np.ones((8, 4)), np.ones(3),
    np.array(["a"] * 4), np.array([None] * 4), np.ma.array(np.ones(4), mask=[1, 0, 0, 0]),
    np.array([1, 2, 3, 4], "M8[s]"), np.broadcast_to(1.0, (4, 2**45)), 2**2000,
)  # fmt: skip


def damaged(nir, rng):
    """Return a sound graph of two layers, the first recurrent, with one to three changes."""
    nodes = {
        "input": nir.Input(np.array([8])),
        "affine": affine(nir, 8, 4, 0),
        "states": nir.LI(np.full(4, 4.0), np.full(4, 2.0), np.zeros(4)),
        "threshold": nir.Threshold(np.ones(4)),
        "back": nir.Affine(-np.eye(4), np.zeros(4)),
        "second": nir.Linear(np.ones((4, 4))),
        "lif": lif(nir, 4),
        "output": nir.Output(np.array([4])),
    }
    chained = ["input", "affine", "states", "threshold", "second", "lif", "output"]
    edges = [*itertools.pairwise(chained), ("threshold", "back"), ("back", "states")]
    graph = nir.NIRGraph(nodes, edges)
    others = [
        nir.Delay(np.ones(4)), nir.Scale(np.ones(4)), nir.Flatten(np.array([4]), 0, -1), object(),
        nir.Conv1d(4, np.ones((1, 1, 1)), 1, 0, 1, 1, np.zeros(1)), "node", None, graph,
        nir.CubaLIF(*(np.ones(4),) * 6), *nodes.values(),
    ]  # fmt: skip
    for _ in range(rng.integers(1, 4)):
        names = [name for name in graph.nodes if isinstance(name, str)] or ["input"]
        name = names[rng.integers(len(names))]
        change = rng.integers(7)
        if change == 0 and hasattr(graph.nodes[name], "__dict__"):
            parts = [part for part in vars(graph.nodes[name]) if not part.endswith("type")]
            if parts:
                value = WRONG[rng.integers(len(WRONG))]
                setattr(graph.nodes[name], parts[rng.integers(len(parts))], value)
        elif change == 1:
            graph.nodes[name] = others[rng.integers(len(others))]
        elif change == 2:
            del graph.nodes[name]
        elif change == 3 and graph.edges:
            del graph.edges[rng.integers(len(graph.edges))]
        elif change == 4:
            graph.edges.append((name, names[rng.integers(len(names))]))
        elif change == 5:
            graph.edges.append([("a", "b"), (name,), name, None, 3, (name, [])][rng.integers(6)])
        else:
            node = [7, None, ("a", "b"), "again", "\x1b[2J"][rng.integers(5)]
            graph.nodes[node] = others[rng.integers(len(others))]
    return graph


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.filterwarnings("error")
def test_damaged_graphs_are_read_or_refused_in_words(nir, tmp_path, seed):
    rng = np.random.default_rng(seed)
    for number in range(100):
        graph = damaged(nir, rng)
        told = "graph: "
        try:
            GivenWitnesses.from_nir(graph, dt=1.0)
        except ValueError as error:
            told = str(error)
        assert re.match("(graph|node .+|subnetworks): ", told)
        if number % 10 == 0:
            path = tmp_path / "graph.nir"
            try:
                nir.write(path, graph)
            except Exception:
                continue  # NIR itself can't write it
            with contextlib.suppress(ValueError, OSError):
                GivenWitnesses.from_nir(path, dt=1.0)


def test_files_cut_short_are_refused_by_name(nir, tmp_path):
    path = tmp_path / "graph.nir"
    nir.write(path, loop(nir, np.eye(6)))
    content = path.read_bytes()
    for length in np.linspace(0, len(content) - 1, 20).astype(int):
        path.write_bytes(content[:length])
        with pytest.raises((ValueError, OSError), match=re.escape(str(path))):
            GivenWitnesses.from_nir(path, dt=1.0)
