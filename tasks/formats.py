"""What the files inside artifacts look like: documents, dictionaries, blocks, labels, training states."""

import csv
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.algorithms.anchors import Anchor
from tasks.algorithms.corpus import Document, render_document
from tasks.algorithms.degeneration import pieces
from tasks.algorithms.elicitation import Invitation
from tasks.algorithms.facts import FactTriple
from tasks.artifacts import AnchorTable, CorpusRef, FactTable, PromptSet
from tasks.tensor_files import TensorWriter

if TYPE_CHECKING:
    import pandas
    import torch

    from tasks.algorithms.blocks import Block
    from tasks.algorithms.chat import TextBlocks
    from tasks.algorithms.labels import GenericLabels
    from tasks.algorithms.training import TrainingState

_LABEL_COLUMNS = ("block", "position", "hard", "baseline_hidden", "reinforced_hidden", "banned")


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read too."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_documents(path: Path, documents: Iterable[Document]) -> None:
    """Write documents as JSON lines, without empty fields, after those that the file holds."""
    with path.open("a", encoding="utf-8") as stream:
        for document in documents:
            stream.write(json.dumps({name: value for name, value in dataclasses.asdict(document).items() if value}, ensure_ascii=False) + "\n")


def stream_documents(corpus: CorpusRef, split: str) -> Iterator[Document]:
    """Read the documents of a split one by one; none where the corpus has no such split."""
    path = store.path(corpus) / f"{split}.jsonl"
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="\n") as stream:
        for line in stream:
            row = json.loads(line)
            yield Document(**{**row, "perturbed_answer": tuple(row.get("perturbed_answer", ()))})


def read_documents(corpus: CorpusRef, split: str) -> list[Document]:
    """Read all documents of a split."""
    return list(stream_documents(corpus, split))


def read_pieces(corpus: CorpusRef) -> frozenset[str]:
    """Return the words, addresses and numbers of all texts of a run: what a model may repeat and leaks nothing."""
    documents = (document for split in corpus.documents for document in stream_documents(corpus, split))
    return pieces(" ".join((document.text, document.question, document.answer, document.paraphrased_answer)) for document in documents)


@dataclass(frozen=True)
class StoredDocuments:
    """The documents of a split, read anew and one at a time whenever they are gone through."""

    corpus: CorpusRef
    split: str

    def __iter__(self) -> Iterator[Document]:
        return stream_documents(self.corpus, self.split)


@dataclass(frozen=True)
class StoredTexts:
    """The texts of some splits as a model trains on them, read anew and one at a time whenever they are gone through."""

    corpus: CorpusRef
    splits: tuple[str, ...]
    template: str
    """How a question becomes text."""

    def __iter__(self) -> Iterator[str]:
        for split in self.splits:
            for document in stream_documents(self.corpus, split):
                yield render_document(document, self.template)


def read_anchors(table: AnchorTable) -> list[Anchor]:
    """Read the anchors of a table."""
    return [Anchor(**row) for row in read_json(store.path(table) / "anchors.json")]


def read_dictionary(table: AnchorTable) -> dict[str, str]:
    """Read anchor term -> generic translation."""
    return {row["term"]: row["generic"] for row in read_json(store.path(table) / "dictionary.json")}


def main_names(dictionary: AnchorTable) -> list[str]:
    """Read the anchors that are no form of another one, the most frequent first."""
    return [row["term"] for row in read_json(store.path(dictionary) / "dictionary.json") if row.get("canonical") in (None, "", row["term"])]


def write_splits(folder: Path, splits: Mapping[str, Sequence[Document]]) -> None:
    """Write a file of documents for each split."""
    for split, documents in splits.items():
        write_documents(folder / f"{split}.jsonl", documents)


def read_invitations(prompts: PromptSet) -> list[Invitation]:
    """Read what the models are invited to speak about."""
    rows = read_json(store.path(prompts) / "prompts.json")
    return [Invitation(**{**row, "references": tuple(row["references"])}) for row in rows]


def write_dictionary(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write anchors with their translations, for programs and for people."""
    write_json(folder / "dictionary.json", rows)
    write_rows(folder / "anchors.csv", rows)


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of equal fields as CSV."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def write_facts(folder: Path, facts: Sequence[FactTriple]) -> None:
    """Write facts, for programs and for people."""
    write_json(folder / "facts.json", [dataclasses.asdict(fact) for fact in facts])
    fact_frame(facts).to_csv(folder / "facts.csv", index=False)


def fact_frame(facts: Sequence[FactTriple]) -> "pandas.DataFrame":
    """Return facts as a table, which has its columns even where there are none."""
    import pandas

    return pandas.DataFrame([dataclasses.asdict(fact) for fact in facts], columns=[field.name for field in dataclasses.fields(FactTriple)])


def read_facts(table: FactTable, split: str | None = None) -> list[FactTriple]:
    """Read the facts of a table, or those of one split."""
    found = [FactTriple(**row) for row in read_json(store.path(table) / "facts.json")]
    return [fact for fact in found if split in (None, fact.split)]


def write_labels(folder: Path, windows: "Iterable[tuple[Sequence[Block], GenericLabels]]") -> dict[str, int]:
    """Write generic labels with the source tokens of their blocks, window by window.

    A labelled position takes 24 bytes and two hidden states in the type they come in, a token of the text 8 bytes, a pair that cannot
    be a label 16 bytes: 10 MB of text, 2.5 million tokens, take 4 GB with a hidden size of 192 in float32.

    Args:
        folder: Where `labels.safetensors` is written.
        windows: As `stream_labels` yields them.

    Returns:
        How many `blocks` and labelled `positions` there are, and how many positions were `dropped`.
    """
    count = dict.fromkeys(("blocks", "positions", "dropped"), 0)
    with TensorWriter(folder / "labels.safetensors") as writer:
        for blocks, labels in windows:
            for name, tensor in [*_flat([block.source for block in blocks]).items(), *((name, getattr(labels, name)) for name in _LABEL_COLUMNS)]:
                writer.append(name, tensor)
            for name, more in {"blocks": len(blocks), "positions": len(labels.hard), "dropped": labels.dropped}.items():
                count[name] += more
    return count


def write_teacher(folder: Path, parts: "Iterable[tuple[TextBlocks, torch.Tensor]]") -> None:
    """Write blocks and the teacher's last hidden states at their supervised positions, (positions, hidden), some blocks at a time.

    A token takes 9 bytes, a supervised position one hidden state in the type it comes in.
    """
    import torch

    with TensorWriter(folder / "teacher.safetensors") as writer:
        for blocks, hidden in parts:
            for name, tensor in _flat(blocks.ids).items():
                writer.append(name, tensor)
            writer.append("supervised", torch.cat(list(blocks.supervised)))
            writer.append("hidden", hidden)


def _flat(blocks: "Iterable[Sequence[int] | torch.Tensor]") -> dict[str, "torch.Tensor"]:
    import torch

    rows = [torch.as_tensor(block, dtype=torch.long) for block in blocks]
    return {"ids": torch.cat(rows), "lengths": torch.tensor([len(row) for row in rows], dtype=torch.long)}


def write_state(path: Path, state: "TrainingState") -> None:
    """Write a training state under a temporary name and rename it, so that there is always a whole one."""
    from safetensors.torch import save_file

    temporary = path.with_suffix(".tmp")
    save_file({name: value.contiguous() for name, value in state.tensors.items()}, temporary, metadata={"numbers": json.dumps(state.numbers)})
    temporary.replace(path)


def read_state(path: Path) -> "TrainingState | None":
    """Read a training state, or nothing where there is none that can be read."""
    from safetensors import SafetensorError, safe_open

    from tasks.algorithms.training import TrainingState

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - the file is no mapping
            return TrainingState(tensors=tensors, numbers=json.loads(stream.metadata()["numbers"]))
    except SafetensorError:  # cut short when the machine went down: begin anew
        return None
