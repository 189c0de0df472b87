"""MNIST's test images, from the user's folder, in a dictionary of random LIF networks."""

from benchmark_utils.programs import mnist_lif
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """3 against the rest; the environment variable BIDUAL_DATA names the folder."""

    name = "mnist-lif"
    parameters = {"images, subnetworks": [(10_000, 250)]}
    test_parameters = {"images, subnetworks": [(100, 5)]}
    requirements = ["pip::bidual"]

    def get_data(self):
        try:
            design, target = mnist_lif(self.images, self.subnetworks)
        except (ValueError, FileNotFoundError) as error:
            return {"missing": str(error)}
        return {"design": design, "target": target}
