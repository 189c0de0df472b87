"""FIRST-LAST-XOR over all strings of a length: the dictionary of random LIF networks."""

from benchmark_utils.programs import xor_lif
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Is the first bit another than the last?"""

    name = "xor-lif"
    parameters = {"steps, subnetworks": [(11, 250)]}
    test_parameters = {"steps, subnetworks": [(5, 5)]}
    requirements = ["pip::bidual"]

    def get_data(self):
        design, target = xor_lif(self.steps, self.subnetworks)
        return {"design": design, "target": target}
