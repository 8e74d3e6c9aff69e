"""A diffusion model for handwritten digits. The files and packages here are the stages of the course, in lesson order.

01 `data`, 02 `diffusion`, 03 `unet` (and `checkpoints`, networks on disk), 04 `training`, 05 `sampling`,
06 `evaluation`. `custom_data` holds pictures of your own, `display` the figures and sliders, `exercises` the checks of
the notebooks' exercises. Behind the lessons: `commands` (`python -m helpers` lists them), `workshop` (the making of the
shipped networks) and `tools`. `helpers/README.md` is the map.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# PyTorch's threads spin while they wait for each other: on a busy machine a training step took eight times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Weights are only read, or written under a new name; some network drives don't support locks.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
