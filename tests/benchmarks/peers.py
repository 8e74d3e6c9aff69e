"""Compare the course with `diffusers` on the same machine, as ratios: `python -m tests.benchmarks.peers`.

Both have a U-Net for 28x28 images with attention at 7x7 and about as many parameters, 100 diffusion steps with the
cosine schedule, clipped gradients and an EMA of the weights. Theirs is trained in the usual way, by AdamW on unchanged
images; the course's recipe uses Muon and augmentation. The pipelines of `diffusers` have no guidance. A guided step
evaluates the network twice for each image, so they draw twice as many images: 200 for a 10x10 grid.

`diffusers` is among the packages for the tests (`pip install -r tests/requirements.txt`), not among the course's.
"""

import helpers.tools.quiet  # noqa: F401

import argparse
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from joblib import cpu_count

from helpers.checkpoints import load_denoiser
from helpers.data import load_mnist, training_split
from helpers.sampling.sampler import SamplerSettings, sample
from helpers.tools.command_line import CommandLine, run_command
from helpers.training.objective import TrainingConfig
from tests.benchmarks.processes import alone, print_row
from tests.benchmarks.profiling import median_seconds
from tests.benchmarks.speed import training_figures

if TYPE_CHECKING:  # torch is imported where it is used: the course's own processes are measured without it
    import torch

WIDTHS = ((16, 32, 32), (16, 32, 48), (24, 48, 48), (24, 48, 64), (32, 48, 64), (32, 64, 64), (32, 64, 96))
GRID = np.arange(100) % 10


def peer_unet(parameters: int) -> "torch.nn.Module":
    """The `UNet2DModel` nearest to `parameters`. Raises `RuntimeError` if none is within 20 %."""
    import torch
    from diffusers import UNet2DModel

    def build(widths: tuple[int, ...], device: str = "cpu") -> torch.nn.Module:
        torch.manual_seed(0)
        with torch.device(device):
            return UNet2DModel(
                sample_size=28,
                in_channels=1,
                out_channels=1,
                layers_per_block=1,
                block_out_channels=widths,
                down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
                norm_num_groups=8,
            )

    # On the device "meta" weights have shapes and no values, which is enough to count them.
    counts = {widths: count_parameters(build(widths, "meta")) for widths in WIDTHS}
    nearest = min(WIDTHS, key=lambda widths: abs(counts[widths] - parameters))
    if abs(counts[nearest] / parameters - 1) > 0.2:
        raise RuntimeError(f"no UNet2DModel in WIDTHS has about {parameters:,} parameters.")
    return build(nearest)


def count_parameters(network: "torch.nn.Module") -> int:
    """The number of weights that training adjusts."""
    return sum(parameter.numel() for parameter in network.parameters())


def peer_training_images_per_second(parameters: int, steps: int = 20) -> float:
    """Images per second of a usual PyTorch training step on MNIST, with noise and EMA, after the first steps."""
    import torch
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    config = TrainingConfig(optimizer="adamw", learning_rate=2e-3)
    unet = peer_unet(parameters)
    ema = EMAModel(unet.parameters(), decay=config.ema_decay)
    scheduler = DDPMScheduler(config.diffusion_steps, beta_schedule="squaredcos_cap_v2")
    optimizer = torch.optim.AdamW(unet.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    images = torch.tensor(training_split(load_mnist())[0])
    for step in range(steps + 3):
        if step == 3:
            started = time.perf_counter()
        pixels = images[torch.randint(len(images), (config.batch_size,))]
        x_0 = pixels[:, None].float() / 127.5 - 1  # (batch, 1, 28, 28)
        noise, t = torch.randn_like(x_0), torch.randint(config.diffusion_steps, (config.batch_size,))
        loss = torch.mean((unet(scheduler.add_noise(x_0, noise, t), t).sample - noise) ** 2)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), config.gradient_clip)
        optimizer.step()
        ema.step(unet.parameters())
    return steps * config.batch_size / (time.perf_counter() - started)


def grid_seconds(method: str, steps: int) -> float:
    """Warm seconds of a 10x10 grid by the course, guided at every step."""
    denoiser, settings = load_denoiser(), SamplerSettings(method, steps, eta=0.0, guidance_interval=None)
    return median_seconds(lambda: sample(denoiser, GRID, settings), 1)


def peer_grid_seconds(method: str, steps: int, parameters: int) -> float:
    """Warm seconds of 200 images, with as many passes as a guided grid, by the pipeline of `diffusers` for `method`."""
    from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler

    kinds = {"ddpm": (DDPMPipeline, DDPMScheduler), "ddim": (DDIMPipeline, DDIMScheduler)}
    pipeline_kind, scheduler_kind = kinds[method]
    scheduler = scheduler_kind(TrainingConfig().diffusion_steps, beta_schedule="squaredcos_cap_v2")
    pipeline = pipeline_kind(peer_unet(parameters).eval(), scheduler)
    pipeline.set_progress_bar_config(disable=True)

    def draw(steps: int) -> None:
        pipeline(batch_size=2 * len(GRID), num_inference_steps=steps, output_type="np")

    draw(1)  # PyTorch chooses its kernels in the first call
    started = time.perf_counter()
    draw(steps)
    return time.perf_counter() - started


def run(_: argparse.Namespace) -> None:
    """Print both sides and their ratios. TensorFlow, which the course needs, is loaded on both sides."""
    parameters = load_denoiser().unet.count_params()
    theirs = count_parameters(peer_unet(parameters))
    print(f"{parameters:,} parameters here, {theirs:,} in UNet2DModel; {cpu_count()} cores, float32")
    (speed, _), memory = alone(training_figures, "float32")
    peer_speed, peer_memory = alone(peer_training_images_per_second, parameters)
    comparisons = [
        ("training, images/s", speed, peer_speed),
        ("training, peak memory, GiB", memory, peer_memory),
    ]
    for method, steps in (("ddpm", 100), ("ddim", 20)):
        seconds, memory = alone(grid_seconds, method, steps)
        peer_seconds, peer_memory = alone(peer_grid_seconds, method, steps, parameters)
        comparisons.append((f"guided 10x10 grid, {method} {steps} steps, seconds", seconds, peer_seconds))
        comparisons.append((f"guided 10x10 grid, {method} {steps} steps, peak memory, GiB", memory, peer_memory))
    for what, mine, peer in comparisons:
        print_row(what, f"{mine:8.2f} here {peer:8.2f} diffusers, ratio {mine / peer:.2f}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(prog="python -m tests.benchmarks.peers", description=__doc__.partition(":")[0] + ".")
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
