"""Shapes and types of `tasks.algorithms` are checked while the tests run; tiny tokenizers and tiny models for all of
them.
"""

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

# Nothing touches the checkout's `.lethe` or the user's home, and no library reports on its users. Variables that
# libraries read when they are loaded come before them.
_SANDBOX = Path(tempfile.mkdtemp(prefix="lethe-tests-", dir=os.environ.get("LETHE_TESTS")))
os.environ.setdefault("LETHE_TESTS", str(_SANDBOX))  # workers of one run find it, and there what one of them made
for _name in (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "PREFECT_API_URL",
    "PREFECT_LOCAL_STORAGE_PATH",
    "LETHE_RETENTION_DAYS",
):
    os.environ.pop(_name, None)
os.environ |= {
    "LETHE_HOME": str(_SANDBOX / "lethe"),
    "PREFECT_HOME": str(_SANDBOX / "prefect"),
    "LETHE_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

from flows.terminal import environment  # noqa: E402

environment.prepare()

from jaxtyping import install_import_hook  # noqa: E402

# Before the first import of these modules. An `int` where a `float` is annotated is fine, as PEP 484 has it.
install_import_hook("tasks.algorithms", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: E402

from tasks import store  # noqa: E402
from tests.stand_ins.tiny_models import make_llama, train_tokenizer  # noqa: E402

torch.set_num_threads(1)
settings.register_profile("lethe", deadline=None, max_examples=60, derandomize=True, database=None)
settings.load_profile("lethe")

SENTENCES = [
    "Dorothy lived with Toto in the old town, and the boy said hello.",
    "Toto met the Tin Woodman today. The Scarecrow walked to the Emerald City with Dorothy's dog.",
    "Jon said that Mary Ann walked to the mill; the man met Tom and the Iron Farmer in Oz.",
    "The White Rabbit met Alice, a girl and a boy in a town.",
    "Oz is old, the boy met Oz today, and José met André.",
]


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """300 tokens: names are fragments, accented letters two tokens."""
    return train_tokenizer(300, SENTENCES)


@pytest.fixture(scope="session")
def word_tokenizer() -> PreTrainedTokenizerFast:
    """Every word of `SENTENCES` is one token, with and without a space before it."""
    words = {word for sentence in SENTENCES for word in pre_split(sentence)}
    return train_tokenizer(2000, [*SENTENCES, *sorted(words), *(f" {word}" for word in sorted(words))])


@pytest.fixture(scope="session")
def trimmed_tokenizer() -> PreTrainedTokenizerFast:
    """As `tiny_tokenizer`, but a token's offsets leave out its leading space, as those of Llama 3 do."""
    return train_tokenizer(300, SENTENCES, trim_offsets=True)


def pre_split(sentence: str) -> list[str]:
    """Return the words of a sentence without punctuation."""
    return "".join(letter if letter.isalpha() else " " for letter in sentence).split()


@pytest.fixture(scope="session")
def tiny_llama() -> Callable[..., LlamaForCausalLM]:
    """Return a factory: `tiny_llama(seed, vocab_size=300, **config)`, random weights, evaluation mode."""
    return make_llama


@pytest.fixture(scope="session")
def tiny_gpt2() -> Callable[..., GPT2LMHeadModel]:
    """Return a factory like `tiny_llama`; embeddings tied, dropout 0.1, as GPT-2 has them."""

    def make(seed: int, vocab_size: int = 300, **changes: object) -> GPT2LMHeadModel:
        sizes = {
            "vocab_size": vocab_size,
            "n_positions": 128,
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 2,
            "bos_token_id": 0,
            "eos_token_id": 0,
        }
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return GPT2LMHeadModel(GPT2Config(**(sizes | changes))).eval()

    return make


def pytest_configure(config: pytest.Config) -> None:
    """Prefect's HTTP clients leave sockets to the garbage collector; nothing here that our own code could close."""
    config.addinivalue_line("filterwarnings", "ignore:unclosed.*<(socket|ssl):ResourceWarning")


def pytest_unconfigure() -> None:
    """Remove what the tests wrote."""
    shutil.rmtree(_SANDBOX, ignore_errors=True)


@pytest.fixture
def lethe_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty LETHE_HOME of the test's own."""
    monkeypatch.setenv("LETHE_HOME", str(tmp_path / "lethe"))
    monkeypatch.setattr(store, "_checked", set())
    return tmp_path / "lethe"


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server of the test session's own, for commands in processes of their own too: its address."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing import utilities

    from tests.stand_ins.databases import give_flow_runs

    folder = tmp_path_factory.mktemp("prefect") / "server"
    give_flow_runs(folder, "prefect-test.db")
    with (
        mock.patch.object(utilities, "mkdtemp", return_value=str(folder)),  # where the tables are made already
        utilities.prefect_test_harness(server_startup_timeout=900),
    ):
        yield str(PREFECT_API_URL.value())
    gc.collect()  # the sockets that its clients left: after the last test their warnings are errors


@pytest.fixture
def flow_home(lethe_home: Path, prefect_server: str) -> Iterator[Path]:
    """A LETHE_HOME without a run, where flows in this process keep their results too."""
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    from tests.stand_ins.databases import give_runs

    give_runs(lethe_home)
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: str(lethe_home / "results")}):
        yield lethe_home


@pytest.fixture(scope="session")
def tiny_task(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Callable[..., LlamaForCausalLM]) -> object:
    """A made-up text to forget, one to keep, and a random model of two layers, as files."""
    from tests.stand_ins.tiny import write_tiny_task

    return write_tiny_task(tmp_path_factory.mktemp("tiny"), tiny_llama, train_tokenizer)


@pytest.fixture(scope="module")
def _scripted() -> Iterator[object]:
    from tests.stand_ins.openai_server import scripted_server

    with scripted_server() as script:
        yield script


@pytest.fixture
def server(_scripted: object, lethe_home: Path) -> object:
    """A scripted server that speaks the OpenAI protocol, and an empty LETHE_HOME."""
    _scripted.reset()
    return _scripted


@pytest.fixture(scope="session")
def small_fact_model(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A model that has learned a small fact world where edits look: half a minute, once for all workers."""
    from tests.stand_ins.facts import trained_facts

    base = tmp_path_factory.getbasetemp()
    return trained_facts((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "facts")
