"""Training and scoring small language models; the only importer of torch.

Axis suffixes: B sequences of a batch, T positions, W width, H heads, C channels of a head, V vocabulary,
P all parameters as one flat vector.
"""
