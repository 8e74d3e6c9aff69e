"""Print a CLIP's zero-shot accuracy on MNIST's test images; by default that of digit-clip, which ships."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `clip`."""
    parser.add_argument("clip", nargs="?", help="folder, or name on the Hugging Face hub (default: digit-clip)")
    parser.add_argument("--download", action="store_true", help="fetch a hub name that isn't on this machine")
    parser.add_argument("--validation", action="store_true", help="the validation images instead of the test set")


def run(arguments: argparse.Namespace) -> None:
    """Print the accuracy for each prompt, with numerals and with words."""
    import numpy as np

    from helpers.data import load_mnist, to_model_range, validation_split
    from helpers.evaluation.clip import (
        DIGIT_CLIP,
        DISTRACTING_PROMPT,
        OFFICIAL_PROMPT,
        UNSEEN_PROMPTS,
        digit_prompts,
        load_clip,
        zero_shot,
    )

    mnist = load_mnist()
    images, labels = validation_split(mnist) if arguments.validation else (mnist.test_images, mnist.test_labels)
    clip = load_clip(arguments.clip or DIGIT_CLIP, arguments.download)
    embeds = clip.embed_images(to_model_range(images).numpy(), progress=True)
    print(f"{clip.name}, zero-shot accuracy on {len(labels)} {'validation' if arguments.validation else 'test'} images")
    for template in (OFFICIAL_PROMPT, *UNSEEN_PROMPTS, DISTRACTING_PROMPT):
        for words in (False, True):
            accuracy = np.mean(zero_shot(embeds, clip.embed_texts(digit_prompts(template, words))) == labels)
            print(f"  {accuracy:7.2%}  {template.format('seven' if words else '7')}", flush=True)
