"""The same work by `diffusers` on the same machine: `python -m helpers.benchmark --peers`.

Both have a U-Net for 28x28 images with attention at 7x7 and about as many parameters, 100 diffusion steps with the
cosine schedule, clipped gradients and an EMA of the weights. Theirs is trained as usual, by AdamW on images as they
are; the course's recipe also makes its steps orthogonal and changes its images. The pipelines of `diffusers` don't
know guidance: they draw as many images as a guided request has network passes, 200 for a 10x10 grid.

`diffusers` is among the packages for the tests (`pip install -r tests/requirements.txt`), not among the course's.
"""

import time

import numpy as np
import torch

from helpers.checkpoints import load_unet
from helpers.data import load_mnist, training_split
from helpers.objective import TrainingConfig
from helpers.profiling import median_seconds
from helpers.sampling import sample

WIDTHS = ((16, 32, 32), (16, 32, 48), (24, 48, 48), (24, 48, 64), (32, 48, 64), (32, 64, 64), (32, 64, 96))
GRID = np.arange(100) % 10


def peer_unet(parameters: int) -> torch.nn.Module:
    """The `UNet2DModel` nearest to `parameters`. Raises `RuntimeError` if none is within 20 %."""
    from diffusers import UNet2DModel

    def build(widths: tuple[int, ...]) -> torch.nn.Module:
        torch.manual_seed(0)
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

    peer = min(map(build, WIDTHS), key=lambda unet: abs(count_parameters(unet) - parameters))
    if abs(count_parameters(peer) / parameters - 1) > 0.2:
        raise RuntimeError(f"no UNet2DModel in WIDTHS has about {parameters:,} parameters.")
    return peer


def count_parameters(network: torch.nn.Module) -> int:
    """Numbers that training adjusts."""
    return sum(parameter.numel() for parameter in network.parameters())


def peer_training_images_per_second(parameters: int, steps: int = 20) -> float:
    """Images a second of a usual PyTorch training step on MNIST, noise and EMA included, after the first steps."""
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    config = TrainingConfig(optimizer="adamw", learning_rate=2e-3)
    unet = peer_unet(parameters)
    average = EMAModel(unet.parameters(), decay=config.ema_decay)
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
        average.step(unet.parameters())
    return steps * config.batch_size / (time.perf_counter() - started)


def grid_seconds(method: str, steps: int) -> float:
    """Warm seconds of a 10x10 grid by the course, guided at every step."""
    unet, schedule = load_unet()
    options = {"method": method, "steps": steps, "eta": 0.0, "guidance_interval": None}
    return median_seconds(lambda: sample(unet, schedule, GRID, **options), 1)


def peer_grid_seconds(method: str, steps: int, parameters: int) -> float:
    """Warm seconds of 200 images, as many passes as a guided grid, by the pipeline of `diffusers` for the method."""
    from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler

    kinds = {"ddpm": (DDPMPipeline, DDPMScheduler), "ddim": (DDIMPipeline, DDIMScheduler)}
    pipeline_kind, scheduler_kind = kinds[method]
    scheduler = scheduler_kind(TrainingConfig().diffusion_steps, beta_schedule="squaredcos_cap_v2")
    pipeline = pipeline_kind(peer_unet(parameters).eval(), scheduler)
    pipeline.set_progress_bar_config(disable=True)

    def draw(steps: int) -> None:
        pipeline(batch_size=2 * len(GRID), num_inference_steps=steps, output_type="np")

    draw(1)  # PyTorch chooses its kernels at the first call
    started = time.perf_counter()
    draw(steps)
    return time.perf_counter() - started
