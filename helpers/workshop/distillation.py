"""Distillation: a student that draws in four network passes what the guided sampler draws in many.

Each of the student's steps learns to arrive where several steps of the teacher arrive, as in progressive distillation
(Salimans & Ho 2022, section 3, Algorithm 2). They halve the number of steps again and again, and each student is the
next one's teacher. Here a student's step replaces all of the teacher's at once, so that no error is handed down. The
teacher's steps are guided and the student's aren't: guidance, too, is distilled (Meng et al. 2023, section 3), with the
scale of each step fixed. `python -m helpers distil` runs it.
"""

import helpers.tools.quiet  # noqa: F401

from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from helpers.checkpoints import WEIGHTS, folder_of, load_digits_denoiser
from helpers.data import load_mnist, training_split
from helpers.diffusion import add_noise, per_sample_noise
from helpers.sampling.sampler import FEW_STEPS, SamplerSettings, guided
from helpers.sampling.solvers import ddim_table, solver_table
from helpers.tools.checks import check_whole
from helpers.tools.files import newest, sha256_of_file
from helpers.training.loop import train
from helpers.training.objective import Objective, TrainingConfig
from helpers.unet import Denoiser

PASSES = 4  # of the network for an image by the student, one a step
# The student knows much of its task already: a third of the usual rate is enough.
STUDENT_RECIPE = TrainingConfig(steps=8_000, batch_size=128, learning_rate=2e-3, label_dropout=0.05, augmentation=0.0)


def teacher_settings(passes: int) -> SamplerSettings:
    """The default sampler in a multiple of the student's steps, without fresh noise, which can't be foreseen.

    Raises `ValueError` unless `passes` is in 1..10, which leaves the teacher two steps for each of the student's.
    """
    check_whole("passes", passes, 1, FEW_STEPS // 2)
    return replace(SamplerSettings(), steps=FEW_STEPS // passes * passes, eta=0.0)


class Distillation:
    """The loss of a student with `steps` DDIM steps, each of which replaces equally many of the teacher's steps.

    `settings` are the teacher's, without fresh noise, in a multiple of `steps`. Raises `ValueError` for others, and for
    a teacher that predicts the noise (its x_0 is almost a division by zero at t = T) or is a student itself.
    """

    def __init__(self, teacher: Denoiser, settings: SamplerSettings, steps: int) -> None:
        config, schedule = teacher.config, teacher.schedule
        settings = settings.on(schedule)
        check_whole("steps", steps, 1, settings.steps)
        if config.predicts != "velocity" or config.distilled_steps:
            what = "a student itself" if config.distilled_steps else "one that predicts the noise"
            raise ValueError(f"teacher must be a network that predicts the velocity, not {what}.")
        if settings.steps % steps or settings.eta or settings.method == "ddpm":
            raise ValueError(f"settings must have a multiple of {steps} steps and no fresh noise, not {settings}.")
        self.teacher, self.steps, self.each = teacher, steps, settings.steps // steps
        self.times, self.table = solver_table(schedule, settings.method, settings.steps)
        self.scales = settings.scales(schedule)
        first = slice(None, None, self.each)
        self.table[first, 1] += self.table[first, 2]  # without an earlier prediction their own takes its place
        self.student_times = self.times[first]  # (steps,)
        self.student_table = ddim_table(schedule, self.student_times, 0.0)  # (steps, 4)

    @tf.function(reduce_retracing=True)
    def arrival(self, x_t: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Where the teacher's steps lead from `x_t` `(batch, 28, 28, 1)`, which stands before the student's `step`."""
        times, table, scales = tf.constant(self.times), tf.constant(self.table, tf.float32), tf.constant(self.scales)
        x_0_before = tf.zeros_like(x_t)
        for i in tf.range(step * self.each, (step + 1) * self.each):
            t, scale = tf.fill(tf.shape(labels), times[i]), tf.cast(scales[i], tf.float32)
            x_0 = tf.clip_by_value(guided(self.teacher, x_t, t, labels, scale)[0], -1.0, 1.0)  # as in `sample`
            x_t, x_0_before = table[i, 0] * x_t + table[i, 1] * x_0 + table[i, 2] * x_0_before, x_0
        return x_t

    def target(self, x_t: tf.Tensor, labels: tf.Tensor, step: int) -> tf.Tensor:
        """The velocity from which one DDIM step arrives where the teacher does: Salimans & Ho 2022, Algorithm 2.

        DDIM's step is x_next = a x_t + b x_0. Solved for x_0, it gives the image to be predicted, and
        x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) noise its velocity.
        """
        a, b, _, _ = np.float32(self.student_table[step])
        x_0 = (self.arrival(x_t, labels, tf.constant(step)) - a * x_t) / b
        alpha_bar = self.teacher.schedule.alpha_bars[self.student_times[step]]
        return (np.float32(np.sqrt(alpha_bar)) * x_t - x_0) / np.float32(np.sqrt(1 - alpha_bar))

    def loss(
        self, student: Denoiser, config: TrainingConfig, sample_ids: tf.Tensor, x_0: tf.Tensor, labels: tf.Tensor
    ) -> tf.Tensor:
        """The mean squared error of the student's velocity. Every `steps`-th sample stands before the same step.

        An error of x_0 counts 1 / (1 - alpha_bar) times: about as much as it moves the next image. Randomness and
        shapes are those of `training_loss`.
        """
        uniform = per_sample_noise(config.seed, sample_ids, (), step=1, draw=tf.random.stateless_uniform)  # (batch,)
        labels = tf.where(uniform < config.label_dropout, -1, labels)  # the student also draws "any digit"
        noise = per_sample_noise(config.seed, sample_ids, tuple(x_0.shape[1:]))  # (batch, 28, 28, 1)
        x_ts, ts, targets, given = [], [], [], []
        for step, t in enumerate(self.student_times):
            part = slice(step, None, self.steps)  # (batch / steps, ...)
            x_t = add_noise(student.schedule, x_0[part], int(t), noise[part])
            x_ts.append(x_t)
            ts.append(tf.fill(tf.shape(labels[part]), t))
            given.append(labels[part])
            targets.append(tf.stop_gradient(self.target(x_t, labels[part], step)))
        inputs = [tf.concat(parts, axis=0) for parts in (x_ts, ts, given)]  # (batch, ...) each
        return tf.reduce_mean(tf.square(student.unet(inputs) - tf.concat(targets, axis=0)))


def distil(
    network: str | Path,
    out: str | Path,
    config: TrainingConfig = STUDENT_RECIPE,
    passes: int = PASSES,
    *,
    streams: int = 1,
    **options: object,
) -> tuple[Denoiser, list[dict]]:
    """Distil a trained network into a student with `passes` steps, in the folder `out`; returns what `train` returns.

    It stops, saves and resumes as `train`, whose other arguments are the `options`. Raises `ValueError` as
    `Distillation` and `train`, and for a batch that can't be split evenly over streams and steps.
    """
    settings = teacher_settings(passes)
    if config.batch_size % (passes * streams):
        raise ValueError(f"batch_size must be divisible by {passes * streams}, not {config.batch_size}.")
    teacher = load_digits_denoiser(network)
    distillation = Distillation(teacher, settings, passes)
    teacher.unet.trainable = False  # the gradient is the student's alone
    config = replace(config, schedule=teacher.schedule.name, diffusion_steps=teacher.schedule.steps)
    facts = {"teacher_sha256": sha256_of_file(newest(folder_of(network), WEIGHTS)), "teacher_sampler": str(settings)}
    objective = Objective(distillation.loss, teacher.unet.get_weights(), facts)
    student, data = replace(teacher.config, distilled_steps=passes), training_split(load_mnist())
    return train(student, config, *data, out, objective=objective, streams=streams, **options)
