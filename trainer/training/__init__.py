"""Training: phases, callbacks, checkpoints, strategy, optimizers, initial weights."""
