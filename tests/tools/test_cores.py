"""Each core has a piece of the batch that is large enough, and only cores that this process may use count."""

import os

import pytest
import tensorflow as tf
from joblib.externals.loky.backend import context as joblib_context

from helpers.tools import cores as tools_cores
from helpers.tools.cores import one_stream_per_core, pieces_of


@pytest.mark.parametrize(
    ("cores", "batch_size", "streams"),
    [
        (1, 64, 1),
        (2, 64, 2),
        (6, 64, 4),
        (6, 128, 4),
        (64, 64, 8),  # eight images in each piece: fewer aren't worth their compilation
        (64, 128, 16),
        (64, 512, 64),
        (64, 60, 6),  # ten images, because seven pieces aren't even
        (64, 12, 1),
        (64, 7, 1),
        (64, 1, 1),
        (3, 100, 2),
    ],
)
def test_one_stream_per_core_divides_the_batch(cores, batch_size, streams, monkeypatch):
    monkeypatch.setattr(tools_cores, "cpu_count", lambda: cores)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)
    assert one_stream_per_core(batch_size) == streams
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one"])
    assert one_stream_per_core(batch_size) == 1  # a GPU wants the whole batch at once


def test_a_workers_share_is_not_cut_too_small():
    """Of a batch of 64 that eight cores would cut into eight pieces, two workers have 32 images each, four 16."""
    assert [pieces_of(share, 8) for share in (64, 32, 16, 8, 4, 0)] == [8, 4, 2, 1, 1, 1]


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    """The machine's, unless a job or a container has only some of them."""
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    limits = {"_cpu_count_affinity": 64, "_cpu_count_cgroup": 64}
    for name, few, streams in (
        ("_cpu_count_affinity", 4, 4),  # the affinity mask, by taskset or Slurm
        ("_cpu_count_cgroup", 2, 2),  # the container's quota
        (None, None, 16),
    ):
        for limit, cores in (limits | ({name: few} if name else {})).items():
            monkeypatch.setattr(joblib_context, limit, lambda *_, cores=cores: cores)
        assert one_stream_per_core(128) == streams


def test_one_stream_once_tensorflow_runs():
    assert tf.config.threading.get_intra_op_parallelism_threads() == 0  # conftest.py has started its threads
    assert one_stream_per_core(128) == 1
