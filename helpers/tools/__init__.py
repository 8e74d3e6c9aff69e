"""Small tools that know nothing about diffusion.

Files, weights, signals, checks of arguments, command lines, a progress bar, a quiet TensorFlow, several machines.
"""
