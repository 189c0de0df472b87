"""The user's file in LIBSVM's format, with features thresholded at value > 0."""

from benchmark_utils.programs import libsvm
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """``path``, or else the environment variable BIDUAL_LIBSVM, names the file."""

    name = "libsvm"
    parameters = {"path": [None]}
    requirements = ["pip::bidual"]

    def get_data(self):
        try:
            design, target = libsvm(self.path)
        except (ValueError, FileNotFoundError) as error:
            return {"missing": str(error)}
        return {"design": design, "target": target}
