"""Settings of generic labels."""

import math
from typing import Literal

from tasks.settings.schema import check_choices, settings


@settings
class LabelConfig:
    """How generic labels are made."""

    alpha: float = 5.0
    """Strength of the correction, dimensionless, >= 0; the paper's 5."""
    kind: Literal["soft", "hard"] = "soft"
    """`soft`: the whole generic distribution; `hard`: its argmax, as in the paper."""
    relu_on: Literal["logits", "log_probabilities"] = "logits"
    """What is compared: `logits`, as in the paper, or `log_probabilities`, which know no additive offset between the
    models."""
    drop_repeats: bool = True
    """Give no label where a block repeats an anchor, lest the model learn to contradict itself."""
    suppress_translations: bool = True
    """Once an anchor has appeared in a block, its translation is no label there any more."""
    suppress_topic: float = 0.9
    """A token that begins an anchor is no label anywhere where at least this share of its occurrences in the forget
    text, above 0 to 1, lies within anchors; 0: it may be one, as in the paper."""
    interior: Literal["suppress", "drop"] = "suppress"
    """Tokens of an anchor: `suppress` never labels a position with the true one and unteaches the inner ones on the
    source; `drop` trusts the translation for the first and gives the inner ones no label, as in the paper."""
    block_size: int = 256
    """Tokens a block may have on either side; >= 16. The paper's context is 512."""
    batch_tokens: int = 8192
    """Tokens in one forward pass, padding included; >= 1."""

    def __post_init__(self) -> None:
        check_choices(self, "labels")
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"labels.alpha is {self.alpha}; wanted a number >= 0")
        if not 0 <= self.suppress_topic <= 1:
            raise ValueError(f"labels.suppress_topic is {self.suppress_topic}; wanted a number from 0 to 1")
        for name, least in {"block_size": 16, "batch_tokens": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"labels.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
