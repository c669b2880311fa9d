"""The gradient of a sharpness-aware step restated (Foret et al., arXiv:2010.01412; on the forget term alone: Fan et
al., arXiv:2502.05374), in plain numpy float64.
"""

import math
from collections.abc import Callable

import numpy as np

Gradient = Callable[[np.ndarray], np.ndarray]


def sharp_gradient(weights: np.ndarray, forget: Gradient, retain: Gradient, radius: float) -> np.ndarray:
    """Forget's gradient where its loss is highest within `radius`, to first order, and retain's where the weights
    are.
    """
    uphill = forget(weights)
    length = math.sqrt(math.fsum(value * value for value in uphill))
    worst = weights if length == 0 else weights + radius * uphill / length
    return forget(worst) + retain(weights)
