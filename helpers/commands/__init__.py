"""The commands of `python -m helpers`, one file each.

Every file has `add_arguments(parser)` and `run(arguments)`. The first line of its docstring is its line in the list of
commands. TensorFlow takes seconds to import, so a command imports what it needs inside `run`: the list, `--help` and a
mistyped argument are answered at once.
"""

COMMANDS = (
    "sample",
    "train",
    "validate",
    "accuracy",
    "evaluate",
    "clip",
    "shapes",
    "tune",
    "recipes",
    "distil",
    "train-classifiers",
    "train-clip",
)
