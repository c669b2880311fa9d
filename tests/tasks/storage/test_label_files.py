"""Labels and teacher states come back from disk block by block as they were made, in any order, and only what is asked
for is read.
"""

import random
import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tasks import store
from tasks.algorithms.tokens.alignment import Block
from tasks.algorithms.tokens.ragged import RaggedRows
from tasks.algorithms.tokens.text_blocks import TextBlocks
from tasks.algorithms.unlearning.labels import GenericLabels
from tasks.artifacts import LabelSet, TeacherCache
from tasks.storage.label_files import LabelRows, write_labels
from tasks.storage.teacher_files import TeacherRows, write_teacher

HIDDEN = 5


def made(seed: int, blocks: int, first: int = 0, rows_before: int = 0) -> tuple[list[Block], GenericLabels]:
    """Random blocks with random labels, some blocks without any, some rows without banned tokens."""
    chance, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    sources = [tuple(chance.choices(range(99), k=chance.randint(1, 9))) for _ in range(blocks)]
    rows = [
        (number, at)
        for number, source in enumerate(sources)
        for at in range(len(source))
        if chance.random() < 0.6 and number % 4
    ]
    pairs = [[row, token] for row in range(len(rows)) for token in range(chance.randint(0, 3))]
    labels = GenericLabels(
        block=torch.tensor([number + first for number, _ in rows], dtype=torch.long),
        position=torch.tensor([at for _, at in rows], dtype=torch.long),
        hard=torch.randint(0, 99, (len(rows),), generator=generator),
        baseline_hidden=torch.randn(len(rows), HIDDEN, generator=generator),
        reinforced_hidden=torch.randn(len(rows), HIDDEN, generator=generator),
        banned=torch.tensor(pairs, dtype=torch.long).reshape(-1, 2) + torch.tensor([rows_before, 0]),
        topic=torch.tensor([3, 8]),
        dropped=sum(map(len, sources)) - len(rows),
    )
    return [
        Block(source=source, translated=source, image=tuple(range(len(source))), anchors=()) for source in sources
    ], labels


def stored_labels(
    seed: int, sizes: tuple[int, ...]
) -> tuple[LabelSet, list[tuple[list[Block], GenericLabels]], dict[str, int]]:
    windows, blocks, rows = [], 0, 0
    for number, size in enumerate(sizes):
        windows.append(made(100 * seed + number, size, blocks, rows))
        blocks, rows = blocks + size, rows + len(windows[-1][1].hard)
    count: dict[str, int] = {}
    digest = store.put("labels", lambda folder: count.update(write_labels(folder, windows)), sensitivity="forget")
    return (
        LabelSet(kind="labels", digest=digest, sensitivity="forget", blocks=0, positions=0, dropped_share=0),
        windows,
        count,
    )


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_read_as_they_were_made(lethe_home: Path, seed: int) -> None:
    stored, windows, count = stored_labels(seed, (5, 1, 7))
    blocks = [block for part, _ in windows for block in part]
    columns = {
        name: torch.cat([getattr(labels, name) for _, labels in windows])
        for name in ("block", "position", "hard", "baseline_hidden", "banned")
    }
    dropped = sum(labels.dropped for _, labels in windows)
    assert count == {"blocks": 13, "positions": len(columns["hard"]), "dropped": dropped}
    rows, chance = LabelRows(stored), random.Random(seed)
    assert len(rows) == 13
    assert [tuple(rows.ids(number).tolist()) for number in range(13)] == [block.source for block in blocks]
    for _ in range(20):
        asked = chance.choices(range(13), k=chance.randint(1, 6))
        found = rows.labels(asked)
        expected = [row for number in asked for row in (columns["block"] == number).nonzero().flatten().tolist()]
        assert found.block.tolist() == [
            slot for slot, number in enumerate(asked) for _ in range(int((columns["block"] == number).sum()))
        ]
        for name in ("position", "hard", "baseline_hidden"):
            assert torch.equal(getattr(found, name), columns[name][expected])
        pairs = [
            [at, int(token)]
            for at, row in enumerate(expected)
            for token in columns["banned"][columns["banned"][:, 0] == row][:, 1]
        ]
        assert found.banned.tolist() == pairs
        assert found.topic.tolist() == [3, 8]


def test_labels_are_arrays_in_one_file(lethe_home: Path) -> None:
    stored, _, _ = stored_labels(0, (3, 2))
    assert [path.name for path in store.path(stored).iterdir() if path.name != store.MANIFEST] == ["labels.safetensors"]
    found = load_file(store.path(stored) / "labels.safetensors")
    assert {name: str(tensor.dtype) for name, tensor in found.items()} == {
        **dict.fromkeys(("ids", "lengths", "block", "position", "hard", "banned", "topic"), "torch.int64"),
        **dict.fromkeys(("baseline_hidden", "reinforced_hidden"), "torch.float32"),
    }


def test_blocks_without_any_label_are_read_as_such(lethe_home: Path) -> None:
    stored, _, count = stored_labels(0, (1,))
    assert (count["blocks"], count["positions"]) == (1, 0)
    found = LabelRows(stored).labels([0, 0])
    assert (len(found.hard), found.baseline_hidden.shape, found.banned.shape) == (0, (0, HIDDEN), (0, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_teacher_states_are_read_block_by_block(lethe_home: Path, dtype: torch.dtype) -> None:
    flags = [(False, True, False), (True, True), (False,), (True,)]
    ids, supervised = RaggedRows(torch.int32), RaggedRows(torch.bool)
    for number, row in enumerate(flags):
        ids.append([10 * number + at for at in range(len(row))])
        supervised.append(row)
    blocks, hidden = TextBlocks(ids=ids.finish(), supervised=supervised.finish()), torch.randn(4, HIDDEN).to(dtype)
    parts = [(blocks.select([0, 1]), hidden[:3]), (blocks.select([2, 3]), hidden[3:])]
    digest = store.put("teachers", lambda folder: write_teacher(folder, parts), sensitivity="forget")
    rows = TeacherRows(TeacherCache(kind="teachers", digest=digest, sensitivity="forget", blocks=4, tokens=7))
    assert len(rows) == 4
    assert [rows.ids(number).tolist() for number in range(4)] == [[0, 1, 2], [10, 11], [20], [30]]
    assert [tuple(rows.supervised(number).tolist()) for number in range(4)] == flags
    assert [rows.hidden(number).tolist() for number in range(4)] == [
        hidden[:1].tolist(),
        hidden[1:3].tolist(),
        [],
        hidden[3:].tolist(),
    ]


def test_writing_holds_one_window_at_a_time(lethe_home: Path) -> None:
    peaks = []
    for windows in (2, 8):
        count = {"blocks": 0}

        def stream(windows: int = windows):
            for number in range(windows):
                block, labels = made(number, 1, number)
                wide = torch.zeros(0, HIDDEN)
                yield block * 500, GenericLabels(**{**vars(labels), "baseline_hidden": wide, "reinforced_hidden": wide})

        tracemalloc.start()
        store.put(
            "labels",
            lambda folder, parts=stream, count=count: count.update(write_labels(folder, parts())),
            sensitivity="forget",
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count["blocks"] == 500 * windows
    assert peaks[1] < 1.5 * peaks[0]
