"""A covering goes without nothing that it should meet, and is smaller than the grid."""

from itertools import product
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from covering import covering, left_out


class Item:
    """Stands in for a test with parameters, which pytest hashes by identity."""

    def __init__(self, function, parametrized=(), slow=False, **params):
        self.nodeid = f"{function}[{params}]"
        self.callspec = SimpleNamespace(params=params)
        self.marks = [SimpleNamespace(args=(names, None)) for names in parametrized]
        self.slow = slow

    def iter_markers(self, name):
        assert name == "parametrize"
        return self.marks

    def get_closest_marker(self, name):
        return self.slow if name == "slow" else None


@given(st.dictionaries(st.integers(), st.sets(st.integers(0, 9)), min_size=1))
def test_a_covering_meets_all_that_the_grid_does(met):
    chosen = covering(met)
    assert set().union(*(met[cell] for cell in chosen)) == set().union(*met.values())
    assert len(set(chosen)) == len(chosen) <= 10


@given(st.dictionaries(st.integers(), st.sets(st.integers(0, 9)), min_size=1))
def test_each_cell_of_a_covering_adds_as_much_as_any_could(met):
    left = set().union(*met.values())
    for cell in covering(met):
        assert len(met[cell] & left) == max(len(each & left) for each in met.values()) > 0
        left -= met[cell]
    assert not left


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_all_values_of_parameters_remain(sizes):
    values = [[f"value {i} of {size}" for i in range(size)] for size in sizes]
    items = [Item("f", **{f"p{i}": v for i, v in enumerate(each)}) for each in product(*values)]
    left = left_out(items)
    assert len(set(left)) == len(left)
    kept = [item.callspec.params for item in items if item not in left]
    for name in items[0].callspec.params:
        assert {each[name] for each in kept} == set(values[int(name[1:])])
    assert len(kept) == max(sizes)  # a value of each at a time


def test_parameters_that_are_given_together_stay_together():
    pairs = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    items = [
        Item("f", ["one, other", ["third"]], one=one, other=other, third=third)
        for (one, other), third in product(pairs, "pqr")
    ]
    left = left_out(items)
    kept = [item.callspec.params for item in items if item not in left]
    assert sorted((each["one"], each["other"]) for each in kept) == pairs
    assert {each["third"] for each in kept} == set("pqr")


def test_functions_are_covered_apart_and_tests_without_parameters_stay():
    values = {"a": "xy", "b": "xy", "c": "xy"}
    grid = [dict(zip(values, each, strict=True)) for each in product(*values.values())]
    alone = SimpleNamespace(nodeid="h", get_closest_marker=lambda name: None)
    items = [alone, *(Item(name, **params) for params in grid for name in ("f", "g"))]
    left = left_out(items)
    assert alone not in left
    of = {name: [i for i in left if i.nodeid.startswith(name)] for name in ("f", "g")}
    assert len(of["f"]) == len(of["g"]) == 6  # two of eight have all values


def test_a_slow_test_stands_in_for_no_other():
    items = [Item("f", slow=a == "x", a=a, b=b) for a, b in product("xy", "pq")]
    assert left_out(items) == []
