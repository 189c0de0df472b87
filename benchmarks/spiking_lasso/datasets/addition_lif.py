"""Addition in a dictionary of random LIF networks, with a row per step of each sum."""

from benchmark_utils.programs import addition_lif
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Base 2, 5 digits, 6 steps: is the digit of the sum 1?"""

    name = "addition-lif"
    parameters = {"samples, subnetworks": [(4096, 153)]}
    test_parameters = {"samples, subnetworks": [(50, 5)]}
    requirements = ["pip::bidual"]

    def get_data(self):
        design, target = addition_lif(self.samples, self.subnetworks)
        return {"design": design, "target": target}
