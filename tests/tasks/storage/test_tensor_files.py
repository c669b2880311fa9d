"""Tensors written piece by piece are the file that safetensors writes at once, and rows are read where they lie."""

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.storage.tensor_files import CHUNK_BYTES, DTYPES, TensorReader, TensorWriter


def columns(seed: int) -> dict[str, torch.Tensor]:
    """One tensor of every type, of several widths; some without rows, some of odd length, names that need escapes."""
    generator, chance = torch.Generator().manual_seed(seed), random.Random(seed)
    made = {}
    for number, name in enumerate(chance.sample(sorted(DTYPES.values()), len(DTYPES))):
        shape = (chance.choice([0, 1, 3, 7]), *chance.choice([(), (1,), (5,), (2, 3)]))
        made[f'é"{number}' if number % 2 else f"z{number}"] = (torch.randn(shape, generator=generator) * 9).to(
            getattr(torch, name)
        )
    return made


def write_in_pieces(path: Path, tensors: dict[str, torch.Tensor], seed: int) -> None:
    chance = random.Random(seed)
    with TensorWriter(path) as writer:
        todo = {name: (0, tensor) for name, tensor in tensors.items()}
        while todo:
            name = chance.choice(sorted(todo))
            done, tensor = todo.pop(name)
            stop = min(len(tensor), done + chance.randint(0, 3))
            writer.append(name, tensor[done:stop])
            if stop < len(tensor):
                todo[name] = (stop, tensor)


@pytest.mark.parametrize("seed", range(8))
def test_the_file_is_that_of_safetensors_to_the_byte(tmp_path: Path, seed: int) -> None:
    tensors = columns(seed)
    write_in_pieces(tmp_path / "pieces.safetensors", tensors, seed)
    save_file(tensors, tmp_path / "whole.safetensors")
    assert (tmp_path / "pieces.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pieces.safetensors", "whole.safetensors"]


def test_every_column_is_aligned_for_its_type(tmp_path: Path) -> None:
    for seed in range(8):
        write_in_pieces(tmp_path / "a.safetensors", columns(seed), seed)
        reader = TensorReader(tmp_path / "a.safetensors")
        assert all(stored.start % getattr(torch, stored.dtype).itemsize == 0 for stored in reader.tensors.values())
        assert min(stored.start for stored in reader.tensors.values()) % 8 == 0


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_read_as_they_were_written(tmp_path: Path, seed: int) -> None:
    tensors = columns(seed)
    save_file(tensors, tmp_path / "a.safetensors", metadata={"about": "something"})
    reader = TensorReader(tmp_path / "a.safetensors")
    assert set(reader.tensors) == set(tensors)
    for name, tensor in tensors.items():
        for start in range(len(tensor) + 1):
            for stop in range(start, len(tensor) + 1):
                found = reader.rows(name, start, stop)
                assert (found.dtype, found.shape) == (tensor.dtype, tensor[start:stop].shape)
                assert torch.equal(found, tensor[start:stop])
        assert torch.equal(torch.cat([tensor[:0], *reader.chunks(name)]), reader.whole(name))


def test_a_tensor_larger_than_a_chunk_is_gone_through_whole(tmp_path: Path) -> None:
    tensor = torch.arange(CHUNK_BYTES // 2).view(-1, 2)
    write_in_pieces(tmp_path / "a.safetensors", {"short": torch.ones(3)}, 0)
    with TensorWriter(tmp_path / "b.safetensors") as writer:
        for part in tensor.split(100_001):
            writer.append("long", part)
    parts = list(TensorReader(tmp_path / "b.safetensors").chunks("long"))
    assert len(parts) == 4
    assert torch.equal(torch.cat(parts), tensor)
    assert torch.equal(load_file(tmp_path / "b.safetensors")["long"], tensor)


def test_rows_that_are_not_contiguous_are_written_as_they_read(tmp_path: Path) -> None:
    tensor = torch.arange(12).view(3, 4).T
    with TensorWriter(tmp_path / "a.safetensors") as writer:
        writer.append("turned", tensor)
    assert torch.equal(load_file(tmp_path / "a.safetensors")["turned"], tensor)


def test_nothing_at_all_is_a_valid_file(tmp_path: Path) -> None:
    with TensorWriter(tmp_path / "a.safetensors"):
        pass
    assert load_file(tmp_path / "a.safetensors") == {}


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (torch.ones(1, 2), torch.ones(1, 3), r"a got rows of type float32 and shape \(3,\); wanted float32 and \(2,\)"),
        (torch.ones(1), torch.ones(1, dtype=torch.long), r"a got rows of type int64 and shape \(\); wanted float32"),
        (torch.ones(1), torch.ones(1, dtype=torch.complex64), "a got rows of type complex64"),
    ],
)
def test_rows_unlike_those_before_are_refused_and_nothing_is_left(
    tmp_path: Path, first: torch.Tensor, second: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message), TensorWriter(tmp_path / "a.safetensors") as writer:
        writer.append("a", first)
        writer.append("a", second)
    assert list(tmp_path.iterdir()) == []


def test_types_that_are_not_known_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="a is of type complex64; wanted one of int64"),
        TensorWriter(tmp_path / "a.safetensors") as writer,
    ):
        writer.append("a", torch.ones(1, dtype=torch.complex64))


def test_what_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(3)}, path)
    reader = TensorReader(path)
    with pytest.raises(KeyError, match="there is no tensor 'b'; wanted one of a"):
        reader.rows("b", 0, 1)
    for start, stop in ((0, 4), (-1, 2), (2, 1)):
        with pytest.raises(IndexError, match=f"a has no rows {start} to {stop}; wanted some within 0 to 3"):
            reader.rows("a", start, stop)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match="ends 1 bytes too early"):
        TensorReader(path).rows("a", 0, 3)
