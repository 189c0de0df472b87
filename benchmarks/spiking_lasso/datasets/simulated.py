"""Correlated Gaussian columns, thresholded to 0 and 1."""

from benchmark_utils.programs import correlated
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Correlated neighbouring columns; 1 % of the columns determine the target."""

    name = "simulated"
    parameters = {"n, atoms, density, correlation": [(1_000, 10_000, 0.15, 0.6)]}
    test_parameters = {"n, atoms, density, correlation": [(60, 100, 0.15, 0.6)]}
    requirements = ["pip::bidual"]

    def get_data(self):
        seed = self.get_seed(use_dataset=True, use_repetition=True)
        design, target = correlated(self.n, self.atoms, self.density, self.correlation, seed)
        return {"design": design, "target": target}
