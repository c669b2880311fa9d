"""Which classifiers are accepted, and what is done where none can be had; no network is asked."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tasks.artifacts import BadInputError
from tasks.models.classifiers import LEXICON, find_classifier, load_classifier, scorer_name
from tasks.settings.measuring import ToxicityConfig
from tests.stand_ins.classifiers import write_classifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("classifier") / "rude")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A hub that is switched off, and a local cache of the test's own."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def config(**changes: str) -> ToxicityConfig:
    return ToxicityConfig(**{"scorer": "auto", **changes})


def test_a_folder_is_a_classifier_keyed_by_its_content(folder: Path, tmp_path: Path) -> None:
    found = find_classifier(config(classifier=str(folder)))
    assert found is not None
    assert scorer_name(found) == f"classifier:{folder}"
    model, _ = load_classifier(found)
    assert not model.training
    moved = shutil.copytree(folder, tmp_path / "moved")
    again = find_classifier(config(classifier=str(moved)))
    assert again is not None
    assert again.digest == found.digest
    about = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps(about | {"id2label": {"0": "hate", "1": "nothate"}}))
    turned = find_classifier(config(classifier=str(moved)))
    assert turned is not None
    assert turned.digest != found.digest


def test_without_a_hub_auto_takes_the_lexicon_and_says_so(offline: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tasks.models.classifiers"):
        found = find_classifier(config())
    assert found is None
    assert scorer_name(found) == LEXICON == "lexicon:better_profanity"
    assert "the hub did not give it" in caplog.text
    assert "rated by lexicon:better_profanity instead: a word list, no classifier" in caplog.text


def test_a_classifier_that_was_asked_for_is_not_replaced(offline: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"toxicity.classifier some/name: no such folder, and the hub did not give it"
    ):
        find_classifier(config(scorer="classifier", classifier="some/name"))


def test_the_hubs_local_cache_is_enough(folder: Path, offline: Path) -> None:
    snapshot = offline / "models--some--name" / "snapshots" / ("a" * 40)
    shutil.copytree(folder, snapshot)
    (offline / "models--some--name" / "refs").mkdir()
    (offline / "models--some--name" / "refs" / "main").write_text("a" * 40)
    found = find_classifier(config(classifier="some/name"))
    assert found is not None
    assert scorer_name(found) == "classifier:some/name"


@pytest.mark.parametrize("scorer", ["off", "lexicon"])
def test_who_wants_no_classifier_gets_none(folder: Path, scorer: str) -> None:
    assert find_classifier(config(scorer=scorer, classifier=str(folder))) is None


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def headless(folder: Path) -> None:
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"architectures": ["RobertaForMaskedLM"]}))


def unnamed(folder: Path) -> None:
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"id2label": {"0": "kind", "1": "rude"}}))


def written(**changes: object) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        about = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(about | changes))

    return write


@pytest.mark.parametrize("scorer", ["auto", "classifier"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json holds a list; wanted a JSON object"),
        (written(architectures=[3]), "its config.json names 3; wanted"),
        (written(architectures="x"), "its config.json names no architecture; wanted"),
        (written(id2label={"first": "hate"}), "invalid literal"),
        (written(id2label=[]), "wanted toxicity.toxic_label to name one"),
        (pickled, r"only pytorch_model.bin, which can run code when loaded; wanted \*.safetensors"),
        (headless, "its config.json names RobertaForMaskedLM; wanted a ...ForSequenceClassification"),
        (unnamed, "cannot be told from kind, rude; wanted toxicity.toxic_label to name one"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer; wanted tokenizer.json"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json there"),
    ],
)
def test_a_folder_that_cannot_rate_is_refused_in_plain_words(
    folder: Path, tmp_path: Path, scorer: str, damage: object, message: str
) -> None:
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    damage(damaged)
    with pytest.raises(BadInputError, match=message):
        find_classifier(config(scorer=scorer, classifier=str(damaged)))
