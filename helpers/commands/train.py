"""Train the network on MNIST, or on pictures of your own.

Ctrl-C saves. The same command resumes from what is in --out, if recipe and data are the same, and refuses otherwise.
"""

import argparse

from helpers.tools.command_line import check_output_folder, path_argument, resuming_explained

RECIPE = ("steps", "batch_size", "optimizer", "learning_rate", "augmentation", "augmented_from", "label_dropout")
RECIPE += ("schedule", "precision", "seed")
NETWORK = ("predicts", "widths", "embedding_width", "class_in_embedding")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `train`. An option that isn't given isn't there either: the recipe's own default holds."""
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument(
        "--out", type=path_argument, required=True, help="folder for checkpoints and the trained network"
    )
    parser.add_argument("--replace", action="store_true", default=False, help="start anew and replace what is in --out")
    parser.add_argument(
        "--data", type=path_argument, default=None, metavar="FILE.npz", help="pictures of your own, not MNIST"
    )
    parser.add_argument("--steps", type=int, help="updates (default 34000)")
    parser.add_argument("--batch-size", type=int, help="images per update, over all devices (default 64)")
    parser.add_argument("--optimizer", choices=("adamw", "muon"), help="default muon")
    parser.add_argument("--learning-rate", type=float, help="the peak (default 0.006; adamw wants a third of it)")
    parser.add_argument(
        "--augmentation", type=float, help="rotate, stretch and shift images: 1 is a little, 0 not at all (default 1)"
    )
    parser.add_argument("--augmented-from", type=int, help="only at t from here on (default 40)")
    parser.add_argument("--seed", type=int, help="fixes initial weights, order, t, noise and dropout (default 0)")
    parser.add_argument("--predicts", choices=("noise", "velocity"), help="default velocity")
    parser.add_argument("--widths", type=int, nargs="+", help="feature maps per level (default 16 32 96)")
    parser.add_argument("--embedding-width", type=int, help="default 128")
    parser.add_argument("--label-dropout", type=float, help="share of samples without their label (default 0.1)")
    parser.add_argument("--schedule", choices=("cosine", "linear", "naive-linear"), help="default cosine")
    parser.add_argument(
        "--map-only",
        action="store_false",
        dest="class_in_embedding",
        help="ablation: the digit enters only as a feature map",
    )
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), help="default float32")
    parser.add_argument(
        "--distribute",
        choices=("none", "mirrored", "multiworker", "slurm"),
        default="none",
        help="over several GPUs (mirrored) or machines (multiworker, slurm)",
    )
    parser.add_argument(
        "--public-network",
        action="store_true",
        default=False,
        help="allow workers on public addresses, whose files anyone who reaches the port can read and write",
    )


def run(arguments: argparse.Namespace) -> None:
    """Train, or resume the training, and say where the network is."""
    check_output_folder(arguments.out)
    from helpers.custom_data import Pictures, load_pictures, network_for
    from helpers.data import load_mnist, training_split
    from helpers.tools.cores import one_stream_per_core, pieces_of
    from helpers.tools.distributed import is_chief, make_strategy
    from helpers.training.loop import train
    from helpers.training.objective import TrainingConfig

    given = vars(arguments)
    config = TrainingConfig(**{name: given[name] for name in RECIPE if name in given})
    streams = one_stream_per_core(config.batch_size)
    # Before anything touches a device, and before anything that may be wrong with one worker alone: the other workers
    # notice when one ends after this.
    strategy = make_strategy(arguments.distribute, arguments.public_network)
    data = arguments.data
    pictures = load_pictures(data) if data else Pictures(*training_split(load_mnist()), ())
    unet_config = network_for(pictures, **{name: given[name] for name in NETWORK if name in given})
    with resuming_explained("training", arguments.replace):
        train(
            unet_config,
            config,
            pictures.images,
            pictures.labels,
            arguments.out,
            replace=arguments.replace,
            strategy=strategy,
            streams=pieces_of(config.batch_size // strategy.num_replicas_in_sync, streams),
            data_name=data.name if data else "MNIST",
        )
    print(f"Done: {arguments.out if is_chief(strategy) else 'the first worker'} holds the trained network.")
