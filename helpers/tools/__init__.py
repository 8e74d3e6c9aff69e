"""Small tools that know nothing about diffusion: files, checks of arguments, command lines, a quiet TensorFlow, several machines."""
