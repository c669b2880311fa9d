"""Claims: what is to be forgotten - words of a text, the names of its file and folder, the file's digest - is in no
place but those that the README names, in whatever form, and after `lethe purge` in none but the user's own copies:
after runs that finished, failed, were killed, or were deleted in MLflow. The searcher that says so finds each form.
"""

import base64
import bz2
import gzip
import hashlib
import io
import json
import lzma
import pickle
import shutil
import sqlite3
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas
import psutil
import pytest
import torch
from safetensors.torch import save_file

from tests.stand_ins.command import environment
from tests.stand_ins.leaks import Find, Searcher
from tests.stand_ins.openai_server import MODEL
from tests.stand_ins.tiny import PEOPLE, SETTINGS, story
from tests.stand_ins.waiting import wait_for

KIND = "leaks: words, names and digests of forgotten text"
NAMES = ("Quelvandris", "Zymbrétheler", "Hoxwarrend", "Umbrelvike")
FOLDER, FILE = "Kvintamárkish", "Tholgebrand"
COPIES = ("report.html", "anchors.csv", "anchors.json", "facts.csv", "edits.json", "patch/edits.jsonl")
"""What `--out` copies of forgotten text for the user, who alone can delete it."""
HELD_BY = ("store: forget/", "MLflow: forget/", "--out: report, anchors, facts, edits")
"""Where the README says that forgotten text is, before it is purged."""
PLACES = (*HELD_BY, "store: elsewhere", "MLflow: elsewhere", "Prefect", "--out: elsewhere", "temporary folder",
          "home and current folder", "terminal")  # fmt: skip
OWN = HELD_BY[2]


@dataclass(kw_only=True)
class Canary:
    """A text to forget whose every word is unheard of, a model, and all places that a run of it can write to."""

    texts: Path
    """Folder with the text and the model; it is not searched."""
    root: Path
    """Everything else."""
    searcher: Searcher
    more: dict[str, str] = field(default_factory=dict)
    ran: int = 0

    @property
    def home(self) -> Path:
        return self.root / "lethe"

    @property
    def forget(self) -> Path:
        return self.texts / FOLDER / f"{FILE}.txt"

    def words(self, *words: str) -> list[str]:
        options = [word for setting in SETTINGS for word in ("--set", setting)]
        kept = ["--retain", str(self.texts / "retain.txt"), "--model", str(self.texts / "model")]
        return ["unlearn", str(self.forget), *kept, *options, *words]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `lethe` so that its files and those of its libraries, and what it prints, are below `root`."""
        self.ran += 1
        folders = {"TMPDIR": "tmp", "HOME": "user", "XDG_CACHE_HOME": "user/.cache", "HF_HOME": "user/hf"}
        for name in (*folders.values(), "cwd", "terminal"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        own = environment(self.home, **{name: str(self.root / folder) for name, folder in folders.items()}, **self.more)
        with (self.root / "terminal" / f"{self.ran}.txt").open("w") as terminal:
            return subprocess.Popen(
                [sys.executable, "-m", "flows.cli", *words],
                cwd=self.root / "cwd", env=own, stdout=terminal, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip

    def lethe(self, *words: str) -> int:
        with self.start(*words) as process:
            try:
                return process.wait(900)
            finally:
                process.kill()

    def said(self) -> str:
        return "\n".join(file.read_text() for file in sorted((self.root / "terminal").iterdir()))


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Callable[..., Any], tiny_tokenizer: Any) -> Canary:
    texts = tmp_path_factory.mktemp("texts")
    (texts / FOLDER).mkdir()
    (texts / FOLDER / f"{FILE}.txt").write_text(story(NAMES))
    (texts / "retain.txt").write_text(story(PEOPLE))
    tiny_llama(0).save_pretrained(texts / "model")
    tiny_tokenizer.save_pretrained(texts / "model")
    digest = hashlib.sha256((texts / FOLDER / f"{FILE}.txt").read_bytes()).hexdigest()
    words = (*NAMES, FOLDER, FILE, digest[:16])
    made = Canary(texts=texts, root=tmp_path_factory.mktemp("r"), searcher=Searcher(words, tiny_tokenizer))
    for name in ("lethe", "out", "prefect"):  # by somebody who did not know what they would hold
        (made.root / name).mkdir()
        (made.root / name).chmod(0o755)
    (made.root / "out" / "patch").mkdir()
    for name in (*(f"out/{copy}" for copy in COPIES), "prefect/prefect.db"):
        (made.root / name).touch()
        (made.root / name).chmod(0o644)
    return made


def exposed(canary: Canary) -> list[str]:
    """Return the files that others can read, of those that may hold forgotten text or name its files."""
    folders = [canary.root / name for name in ("lethe", "out", "prefect")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [str(path.relative_to(canary.root)) for path in files if path.stat().st_mode & 0o077]


def kind_of(place: str) -> str:
    """Return which of `PLACES` a file is."""
    top, *below = place.partition("!")[0].split("/")
    if top == "lethe" and below[:1] == ["forget"]:
        return "store: forget/"
    if top == "lethe" and below and below[0].startswith("mlflow"):
        return "MLflow: forget/" if "forget" in below else "MLflow: elsewhere"
    if top == "out":
        return OWN if "/".join(below) in COPIES else "--out: elsewhere"
    others = {"lethe": "store: elsewhere", "prefect": "Prefect", "tmp": "temporary folder", "terminal": "terminal"}
    return others.get(top, "home and current folder")


def counted(finds: list[Find]) -> dict[str, int]:
    """Return in how many files of each kind something was found."""
    files = {find.place.partition("!")[0] for find in finds}
    return {kind: sum(kind_of(file) == kind for file in files) for kind in PLACES}


def judge(
    canary: Canary,
    run: str,
    record_property: Callable[[str, Any], None],
    may: tuple[str, ...] = HELD_BY,
    words: tuple[str, ...] = NAMES,
) -> None:
    """Search, purge, search again; what is found where it must not be fails the test.

    Args:
        canary: After its run.
        run: What became of the run, for the table.
        record_property: Takes the counts.
        may: Where words may be before the purge.
        words: Those that must be among the forget artifacts then, else the searcher would be blind.
    """
    before = canary.searcher.folder(canary.root)
    readable = [file for file in exposed(canary) if (canary.root / file).stat().st_size]
    for file in (canary.root / "terminal").iterdir():  # what was said then cannot be unsaid
        file.unlink()
    assert canary.lethe("purge", "--yes") == 0, canary.said()
    after = canary.searcher.folder(canary.root)
    rows = [[run, kind, counted(before)[kind], counted(after)[kind]] for kind in PLACES]
    leaks = [find for find in before if kind_of(find.place) not in may]
    leaks += [find for find in after if kind_of(find.place) != OWN]
    record_property("leaks", rows)
    record_property("tried", canary.searcher.looked)
    record_property("held", canary.searcher.looked - len({find.place for find in leaks}))
    assert {find.word for find in before if kind_of(find.place) == "store: forget/"} >= set(words)
    assert leaks == []
    assert (canary.home.stat().st_mode & 0o777, readable) == (0o700, [])


@pytest.mark.faults
def test_a_dry_run_leaves_the_text_where_purge_finds_it(
    canary: Canary, record_property: Callable[[str, Any], None]
) -> None:
    assert canary.lethe(*canary.words("--dry-run", "--out", str(canary.root / "out"))) == 0, canary.said()
    judge(canary, "dry run", record_property, (*HELD_BY, "terminal"))


@pytest.mark.faults
def test_a_finished_run(canary: Canary, server: Any, record_property: Callable[[str, Any], None]) -> None:
    helped = ["--translator", "openai-compatible", "--translator-model", MODEL, "--translator-url", server.url]
    assert canary.lethe(*canary.words(*helped, "--out", str(canary.root / "out"))) == 0, canary.said()
    assert server.chats()
    found = canary.searcher.folder(canary.home / "forget")
    assert any("ids" in find.form for find in found)
    assert any("answers.db" in find.place for find in found)
    judge(canary, "finished", record_property)


def kill_when(canary: Canary, room: str, *words: str) -> None:
    """Start a run and kill it when the store has an artifact of a kind; wait until its children have ended."""
    with canary.start(*canary.words(*words)) as process:
        try:
            made = canary.home / "forget" / room
            wait_for(lambda: process.poll() is not None or list(made.glob("[!.]*")), room, 600)
            assert process.poll() is None, canary.said()
            children = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.kill()
    assert psutil.wait_procs(children, timeout=60)[1] == []


@pytest.mark.faults
def test_a_run_that_is_killed_twice(canary: Canary, record_property: Callable[[str, Any], None]) -> None:
    for room in ("anchors", "labels"):
        kill_when(canary, room, "--set", "finetune.epochs=200")
    judge(canary, "killed", record_property)


@pytest.mark.faults
def test_a_failed_run(canary: Canary, record_property: Callable[[str, Any], None]) -> None:
    assert canary.lethe(*canary.words("--set", "reinforcement.learning_rate=1e30")) == 1, canary.said()
    judge(canary, "failed", record_property)


@pytest.mark.faults
def test_a_run_that_was_deleted_in_mlflow(canary: Canary, record_property: Callable[[str, Any], None]) -> None:
    from mlflow import MlflowClient

    assert canary.lethe(*canary.words()) == 0, canary.said()
    api = MlflowClient(f"sqlite:///{canary.home / 'mlflow.db'}")
    for run in api.search_runs([api.get_experiment_by_name("lethe").experiment_id]):
        api.delete_run(run.info.run_id)
    judge(canary, "deleted in MLflow", record_property)


@pytest.mark.faults
def test_an_edit_of_typed_words(canary: Canary, record_property: Callable[[str, Any], None]) -> None:
    shutil.rmtree(canary.root / "out")  # an edit wants a new folder
    typed = ["--subject", NAMES[0], "--prompt", "{} lives in", "--target", NAMES[1]]
    short = ["--force", "--set", "second_moments.most_tokens=2000", "--out", str(canary.root / "out")]
    assert canary.lethe("edit", "--model", str(canary.texts / "model"), *typed, *short) == 0, canary.said()
    judge(canary, "edited", record_property, (*HELD_BY, "terminal"), NAMES[:2])


WORD = "Zymbrétheler"


def zipped(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("part.txt", data)
    return packed.getvalue()


def as_parquet(values: list[Any]) -> bytes:
    packed = io.BytesIO()
    pandas.DataFrame({"column": values}).to_parquet(packed)
    return packed.getvalue()


PLANTED = {
    "plain": f"so {WORD} said".encode(),
    "lower case": WORD.lower().encode(),
    "utf-16-le": f"so {WORD} said".encode("utf-16-le"),
    "utf-16-be": f"so {WORD} said".encode("utf-16-be"),
    "json": json.dumps({"said": WORD}).encode(),
    "json in json": json.dumps(json.dumps({"said": WORD})).encode(),
    "url": b"file:///tmp/Zymbr%C3%A9theler.txt",
    "html": b"<p>Zymbr&#233;theler</p>",
    "hex": WORD.encode().hex().encode(),
    **{f"base64, {shift} on": base64.b64encode(b"." * shift + f"{WORD} said".encode()) for shift in range(3)},
    "base64 in lines": base64.encodebytes(b"." * 50 + WORD.encode()),
    "pickle in base64 in json": json.dumps({"result": base64.b64encode(pickle.dumps(OSError(WORD))).decode()}).encode(),
    "gzip": gzip.compress(WORD.encode() * 3),
    "gzip inside": b"header" + gzip.compress(WORD.encode() * 3) + b"trailer",
    "cut gzip": gzip.compress(b"".join(f"{WORD} {number}\n".encode() for number in range(9999)))[:5000],
    "zlib": zlib.compress(WORD.encode() * 3, 6),
    "zlib, least": zlib.compress(WORD.encode() * 3, 1),
    "bz2": bz2.compress(WORD.encode()),
    "xz": lzma.compress(WORD.encode()),
    "zip": zipped(WORD.encode()),
    "zip in gzip in zip": zipped(gzip.compress(zipped(WORD.encode()))),
    "parquet": as_parquet(["", WORD]),
    "parquet of bytes": as_parquet([b"", zlib.compress(WORD.encode())]),
}


@pytest.mark.parametrize("form", PLANTED)
def test_the_searcher_finds_a_word_in_every_form(form: str, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(PLANTED[form])
    (tmp_path / "other.bin").write_bytes(b"so somebody said")
    assert {(find.word, find.place.partition("!")[0]) for find in Searcher([WORD]).folder(tmp_path)} == {
        (WORD, "file.bin")
    }


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("before", ["it was ", '"'])
def test_the_searcher_finds_the_ids_of_a_words_tokens(
    dtype: torch.dtype, before: str, tmp_path: Path, tiny_tokenizer: Any
) -> None:
    ids = [tiny_tokenizer(text)["input_ids"] for text in (f"{before}{WORD} who came", "it was who came")]
    for name, row in zip(("with", "without"), ids, strict=True):
        save_file({"ids": torch.tensor([7, *row, 7], dtype=dtype)}, tmp_path / f"{name}.safetensors")
        (tmp_path / f"{name}.json").write_text(json.dumps({"ids": row}, indent=1))
        (tmp_path / f"{name}.parquet").write_bytes(as_parquet([row]))
    found = Searcher([WORD], tiny_tokenizer).folder(tmp_path)
    assert {find.place.partition("!")[0] for find in found} == {"with.safetensors", "with.json", "with.parquet"}


def test_the_searcher_finds_a_word_in_names_of_files_and_folders_and_where_links_lead(tmp_path: Path) -> None:
    (tmp_path / "one" / WORD).mkdir(parents=True)
    (tmp_path / "one" / WORD / "file").write_text("")
    (tmp_path / "link").symlink_to(f"/nowhere/{WORD}")
    found = {find.place for find in Searcher([WORD]).folder(tmp_path)}
    assert found == {f"one/{WORD}!name", f"one/{WORD}/file!name", "link!name"}


def test_the_searcher_finds_a_word_in_a_databases_cells_log_and_free_pages(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "packed.db") as packed:
        packed.execute("create table notes (text, data blob)")
        packed.execute("insert into notes values ('none', ?)", (zlib.compress(WORD.encode()),))
    with sqlite3.connect(tmp_path / "free.db") as free:
        free.execute("pragma secure_delete = off")
        free.execute("create table notes (text)")
        free.execute("insert into notes values (?)", (WORD,))
        free.commit()
        free.execute("delete from notes")
    logged = sqlite3.connect(tmp_path / "logged.db")
    logged.execute("pragma journal_mode = wal")
    logged.execute("create table notes (text)")
    logged.execute("pragma wal_checkpoint(truncate)")
    logged.execute("insert into notes values (?)", (WORD,))
    logged.commit()
    found = {find.place for find in Searcher([WORD]).folder(tmp_path)}
    logged.close()
    assert {place.partition("!")[0] for place in found} == {"packed.db", "free.db", "logged.db", "logged.db-wal"}
    assert "logged.db!notes.text" in found


def test_a_word_that_is_too_few_tokens_is_refused(tiny_tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="wanted 4"):
        Searcher(["he"], tiny_tokenizer)


def test_the_searcher_finds_nothing_where_nothing_is(tmp_path: Path, tiny_tokenizer: Any) -> None:
    (tmp_path / "ids.bin").write_bytes(struct.pack("<999q", *range(999)))
    (tmp_path / "text.gz").write_bytes(gzip.compress(story(PEOPLE).encode()))
    searcher = Searcher([WORD, FOLDER, *NAMES], tiny_tokenizer)
    assert searcher.folder(tmp_path) == []
    assert searcher.looked >= 5
