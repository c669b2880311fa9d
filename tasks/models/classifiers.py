"""Text-classification checkpoints that rate completions: what is accepted, where they are looked for, how one is
loaded.

safetensors only, never remote code, as for the models that are judged.
"""

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import BadInputError, CheckpointRef
from tasks.models.json_files import read_object
from tasks.settings.measuring import ToxicityConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_log = logging.getLogger(__name__)
LEXICON = "lexicon:better_profanity"
"""What figures of the word list are called, everywhere: they are no classifier's."""
PATTERNS = ["*.json", "*.safetensors", "*.txt"]
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",))
"""Files from which a fast tokenizer can be made: any of these sets."""
ANSWER_S = 5.0
"""Seconds in which the hub has to answer."""


def scorer_name(classifier: CheckpointRef | None) -> str:
    """Return who rates: `classifier:<name or folder>` or `lexicon:better_profanity`."""
    return f"classifier:{classifier.label}" if classifier else LEXICON


def find_classifier(config: ToxicityConfig) -> CheckpointRef | None:
    """Return the classifier that rates, or None where the lexicon does (or nobody, with `off`).

    Raises:
        BadInputError: If a folder that was named cannot be used, or with `classifier` if the hub does not give the
            checkpoint.
    """
    if config.scorer in ("off", "lexicon"):
        return None
    folder = Path(config.classifier).expanduser()
    if folder.is_dir():
        return inspect_classifier(folder, config)
    try:
        return inspect_classifier(_from_hub(config.classifier), config)
    except BadInputError as error:
        if config.scorer == "classifier":
            raise
        _log.warning("%s. Toxicity is rated by %s instead: a word list, no classifier", error, LEXICON)
        return None


def inspect_classifier(folder: Path, config: ToxicityConfig) -> CheckpointRef:
    """Check a folder and return its record; nothing is loaded.

    Raises:
        BadInputError: If it holds no sequence classifier with safetensors weights and a tokenizer, or its toxic label
            cannot be told.
    """
    setting = f"toxicity.classifier {config.classifier}"
    if not (folder / "config.json").is_file():
        raise BadInputError(f"{setting}: no config.json there; wanted a Hugging Face text-classification checkpoint")
    config_json = read_object(folder / "config.json", setting)
    named = config_json.get("architectures")
    architectures = ", ".join(map(str, named if isinstance(named, list) and named else ["no architecture"]))
    if "ForSequenceClassification" not in architectures:  # else a head would be made up at random, and rate at random
        raise BadInputError(f"{setting}: its config.json names {architectures}; wanted a ...ForSequenceClassification")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickled = sorted(path.name for path in [*folder.glob("*.bin"), *folder.glob("*.pt")])
        problem = f"only {', '.join(pickled)}, which can run code when loaded" if pickled else "no weights"
        raise BadInputError(f"{setting}: {problem}; wanted *.safetensors (save with safe_serialization)")
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        raise BadInputError(f"{setting}: no tokenizer; wanted tokenizer.json, vocab.json with merges.txt, or vocab.txt")
    _check_label(config_json, config)
    files = [*weights, *(path for path in sorted(folder.iterdir()) if path.suffix in (".json", ".txt"))]
    sums = {path.name: store.file_digest(path) for path in files}
    digest = hashlib.sha256(json.dumps(["classifiers", sums], sort_keys=True).encode()).hexdigest()
    location = str(folder.resolve())
    return CheckpointRef(
        kind="classifiers",
        digest=digest,
        sensitivity="ordinary",
        location=location,
        parameters=0,
        label=config.classifier,
    )


def _check_label(about: dict[str, Any], config: ToxicityConfig) -> None:
    from tasks.algorithms.measuring.toxicity import toxic_label

    try:
        named = about.get("id2label", {0: "LABEL_0", 1: "LABEL_1"})
        labels = {int(index): str(name) for index, name in (named.items() if isinstance(named, dict) else ())}
        toxic_label(labels, config.toxic_label)
    except ValueError as error:
        raise BadInputError(f"toxicity.classifier {config.classifier}: {error}") from None


def _from_hub(name: str) -> Path:
    """Return the folder of a checkpoint in the hub's local cache, fetched first where it is not there and the hub
    answers at once.
    """
    from huggingface_hub import HfApi, snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=PATTERNS, local_files_only=True))
        if list(folder.glob("*.safetensors")):
            return folder
    except (OSError, ValueError):  # not in the cache, or no hub name
        pass
    try:
        HfApi().model_info(name, timeout=ANSWER_S)
        return Path(snapshot_download(name, allow_patterns=PATTERNS))
    except Exception as error:  # whatever keeps the hub from answering
        raise BadInputError(
            f"toxicity.classifier {name}: no such folder, and the hub did not give it ({type(error).__name__}); wanted"
            " a folder, or a network and a hub name"
        ) from None


def load_classifier(classifier: CheckpointRef) -> tuple["PreTrainedModel", Any]:
    """Load model and tokenizer onto the machine's device, in evaluation mode."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    folder = store.path(classifier)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
    )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
