"""What the files inside artifacts look like: they are read as they were written, and what a crash cut short is no
state.
"""

from pathlib import Path

import torch

from tasks import store
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.training.loop import TrainingState
from tasks.artifacts import CorpusRef
from tasks.storage.documents import StoredDocuments, StoredTexts, read_documents, write_documents
from tasks.storage.plain_files import read_json, write_json
from tasks.storage.training_states import read_state, write_state


def test_documents_are_read_as_they_were_written(lethe_home: Path) -> None:
    documents = [
        Document(source="a.txt", text="Velmora, où l'on dort.\u2028Ostrin.\x85Kessa."),
        Document(source="b:1", question="Who?", answer="Ostrin.", perturbed_answer=("Kessa.", "Brin."), fact="ruler"),
    ]
    digest = store.put(
        "corpora", lambda folder: write_documents(folder / "forget.jsonl", documents), sensitivity="forget"
    )
    corpus = CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})
    assert read_documents(corpus, "forget") == documents
    assert read_documents(corpus, "retain") == []


def test_documents_can_be_gone_through_again_and_again(lethe_home: Path) -> None:
    documents = [Document(source="a.txt", text="Velmora."), Document(source="b:1", question="Who?", answer="Ostrin.")]
    digest = store.put(
        "corpora", lambda folder: write_documents(folder / "forget.jsonl", documents), sensitivity="forget"
    )
    stored = StoredDocuments(
        CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={}), "forget"
    )
    assert list(stored) == list(stored) == documents


def test_texts_can_be_gone_through_again_and_again(lethe_home: Path) -> None:
    documents = [Document(source="a.txt", text="Velmora."), Document(source="b:1", question="Who?", answer="Ostrin.")]
    digest = store.put(
        "corpora", lambda folder: write_documents(folder / "forget.jsonl", documents), sensitivity="forget"
    )
    corpus = CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})
    texts = StoredTexts(corpus, ("forget", "retain"), "{question} - {answer}")
    assert list(texts) == list(texts) == ["Velmora.", "Who? - Ostrin."]


def test_a_training_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = TrainingState(
        tensors={"model/weight": torch.arange(6.0).view(2, 3).T, "optimizer/0/step": torch.tensor(3.0)},
        numbers={"step": 3, "best_score": 0.5},
    )
    write_state(tmp_path / "state.safetensors", state)
    found = read_state(tmp_path / "state.safetensors")
    assert found.numbers == state.numbers
    assert {name: value.tolist() for name, value in found.tensors.items()} == {
        name: value.tolist() for name, value in state.tensors.items()
    }
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_state_that_is_missing_or_was_cut_short_is_none(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    assert read_state(path) is None
    write_state(path, TrainingState(tensors={"model/weight": torch.ones(100)}, numbers={"step": 3}))
    for size in (0, 4, 60, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:size])
        assert read_state(path) is None


def test_numbers_that_are_not_finite_are_null_wherever_they_stand(tmp_path: Path) -> None:
    """JSON has no NaN, and what reads it need not be Python."""
    write_json(tmp_path / "a.json", {"a": [1.5, float("nan"), (float("inf"),)], "b": {"c": -float("inf")}, "d": 2})
    assert "NaN" not in (tmp_path / "a.json").read_text()
    assert read_json(tmp_path / "a.json") == {"a": [1.5, None, [None]], "b": {"c": None}, "d": 2}
