"""Shrinking and perturbing a weight restated (Lee et al., arXiv:2506.06278), in plain numpy float64."""

import math

import numpy as np


def shrunk_and_perturbed(weight: np.ndarray, uniform: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """(1 - alpha) theta + alpha beta N.

    Args:
        weight: theta, of any number of dimensions.
        uniform: Draws from 0 to 1 of the same shape, of which N is made: a matrix of Glorot and Bengio's bound.
        alpha: Share that is given up.
        beta: Scale of the noise.
    """
    if weight.ndim < 2:
        return (1.0 - alpha) * weight
    rows, columns = weight.shape[-2:]
    bound = math.sqrt(6.0 / (rows + columns))
    return (1.0 - alpha) * weight + alpha * beta * (bound * (2.0 * uniform - 1.0))
