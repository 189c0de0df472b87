"""Digits in a dictionary of random LIF networks, 1,797 rows."""

from benchmark_utils.programs import digits_lif
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """scikit-learn's digits, 3 against the rest."""

    name = "digits-lif"
    parameters = {"subnetworks": [250]}
    test_parameters = {"subnetworks": [5]}
    requirements = ["pip::bidual"]

    def get_data(self):
        design, target = digits_lif(self.subnetworks)
        return {"design": design, "target": target}
