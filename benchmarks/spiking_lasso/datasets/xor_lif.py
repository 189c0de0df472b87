"""First-last-XOR over all strings of a length, in a dictionary of random LIF networks."""

from benchmark_utils.programs import xor_lif
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Target: whether the first bit differs from the last."""

    name = "xor-lif"
    parameters = {"steps, subnetworks": [(11, 250)]}
    test_parameters = {"steps, subnetworks": [(5, 5)]}
    requirements = ["pip::bidual"]

    def get_data(self):
        design, target = xor_lif(self.steps, self.subnetworks)
        return {"design": design, "target": target}
