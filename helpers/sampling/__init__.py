"""05 Guided sampling: from pure noise to the requested digit.

`solvers` holds the tables, `labels` turns text into labels, `sampler` is the loop.
"""

from helpers.sampling.labels import parse_digits
from helpers.sampling.sampler import SamplerSettings, guided_noise, sample
from helpers.sampling.solvers import solver_table

__all__ = ["solver_table", "parse_digits", "SamplerSettings", "guided_noise", "sample"]
