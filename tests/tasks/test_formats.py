"""What the files inside artifacts look like: they are read as they were written, and what a crash cut short is no state."""

from pathlib import Path

import torch

from tasks import formats, store
from tasks.algorithms.corpus import Document
from tasks.algorithms.training import TrainingState
from tasks.artifacts import CorpusRef


def test_documents_are_read_as_they_were_written(lethe_home: Path) -> None:
    documents = [
        Document(source="a.txt", text="Velmora, où l'on dort.\u2028Ostrin.\x85Kessa."),
        Document(source="b:1", question="Who?", answer="Ostrin.", perturbed_answer=("Kessa.", "Brin."), fact="ruler"),
    ]
    digest = store.put("corpora", lambda folder: formats.write_documents(folder / "forget.jsonl", documents), sensitivity="forget")
    corpus = CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})
    assert formats.read_documents(corpus, "forget") == documents
    assert formats.read_documents(corpus, "retain") == []


def test_documents_can_be_gone_through_again_and_again(lethe_home: Path) -> None:
    documents = [Document(source="a.txt", text="Velmora."), Document(source="b:1", question="Who?", answer="Ostrin.")]
    digest = store.put("corpora", lambda folder: formats.write_documents(folder / "forget.jsonl", documents), sensitivity="forget")
    stored = formats.StoredDocuments(CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={}), "forget")
    assert list(stored) == list(stored) == documents


def test_texts_can_be_gone_through_again_and_again(lethe_home: Path) -> None:
    documents = [Document(source="a.txt", text="Velmora."), Document(source="b:1", question="Who?", answer="Ostrin.")]
    digest = store.put("corpora", lambda folder: formats.write_documents(folder / "forget.jsonl", documents), sensitivity="forget")
    corpus = CorpusRef(kind="corpora", digest=digest, sensitivity="forget", documents={}, characters={})
    texts = formats.StoredTexts(corpus, ("forget", "retain"), "{question} - {answer}")
    assert list(texts) == list(texts) == ["Velmora.", "Who? - Ostrin."]


def test_a_training_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = TrainingState(
        tensors={"model/weight": torch.arange(6.0).view(2, 3).T, "optimizer/0/step": torch.tensor(3.0)}, numbers={"step": 3, "best_score": 0.5}
    )
    formats.write_state(tmp_path / "state.safetensors", state)
    found = formats.read_state(tmp_path / "state.safetensors")
    assert found.numbers == state.numbers
    assert {name: value.tolist() for name, value in found.tensors.items()} == {name: value.tolist() for name, value in state.tensors.items()}
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_state_that_is_missing_or_was_cut_short_is_none(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    assert formats.read_state(path) is None
    formats.write_state(path, TrainingState(tensors={"model/weight": torch.ones(100)}, numbers={"step": 3}))
    for size in (0, 4, 60, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:size])
        assert formats.read_state(path) is None
