"""The making of what ships: the choice of recipe and sampler settings, the classifiers, and digit-clip."""
