"""What is recorded on the way is what the sampler saw there."""

import numpy as np
import pytest

from helpers.display.trajectories import record_trajectories
from helpers.sampling.sampler import SamplerSettings, sample
from helpers.unet import predict_noise


def test_trajectories_are_what_the_sampler_saw(lively_denoiser, schedule):
    recorded = record_trajectories(lively_denoiser, [3, 8], scales=(0.0, 3.0), steps_kept=[0, 7, 19], seed=5)
    np.testing.assert_array_equal(recorded.t, [99, 64, 4])
    np.testing.assert_array_equal(recorded.alpha_bars, schedule.alpha_bars[[99, 64, 4]])
    assert recorded.x_t.shape == recorded.x_0.shape == recorded.difference.shape == (2, 4, 2, 28, 28, 1)
    for s, scale in enumerate((0.0, 3.0)):
        settings = SamplerSettings("ddim", 20, eta=1.0, guidance_scale=scale, guidance_interval=None)
        images, seen = sample(lively_denoiser, [3, 8], settings, seed=5, keep=[0, 7, 19])
        np.testing.assert_allclose(recorded.x_t[s, :3], seen.x_t, atol=1e-5)
        np.testing.assert_allclose(recorded.x_0[s, :3], seen.x_0, atol=1e-5)
        for last in (recorded.x_t[s, 3], recorded.x_0[s, 3]):
            np.testing.assert_allclose(last, images, atol=1e-5)
        assert not recorded.difference[s, 3].any()
        for k, t in enumerate(seen.t):
            times = np.full(2, t, np.int32)
            cond, uncond = (predict_noise(lively_denoiser, seen.x_t[k], times, d) for d in ([3, 8], [-1, -1]))
            difference = (cond - uncond).numpy()
            tolerance = 1e-3 * np.abs(difference).max()
            np.testing.assert_allclose(recorded.difference[s, k], difference, atol=tolerance)
    assert (recorded.names, recorded.kind) == (("3", "8"), "digit")
    for options in ({"scales": ()}, {"steps_kept": []}, {"steps_kept": [20]}, {"digits": [10]}, {"digits": []}):
        with pytest.raises(ValueError, match=r"^[a-z_]+ .*must .*\.$"):
            record_trajectories(lively_denoiser, **options)


def test_trajectories_of_other_pictures_have_their_names_and_shape(shapes_denoiser):
    recorded = record_trajectories(shapes_denoiser, [3, -1, 0], scales=(2.0,), steps_kept=[5])
    assert recorded.x_t.shape == recorded.x_0.shape == recorded.difference.shape == (1, 2, 3, 20, 20, 3)
    assert (recorded.names, recorded.kind) == (("blue cross", "not given", "red disc"), "class")
    everything = record_trajectories(shapes_denoiser, scales=(1.0,), steps_kept=[19])
    assert everything.digits.tolist() == [0, 1, 2, 3]
