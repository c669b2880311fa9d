"""All that reads files which users bring, each with good files of its kind."""

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import pandas
from pydantic import TypeAdapter, ValidationError
from safetensors.numpy import save
from tokenizers import Tokenizer, models

from flows.methods import METHODS
from flows.steps.settings import apply_file, apply_settings
from tasks import store
from tasks.algorithms.text.corpus import render_document
from tasks.artifacts import BadInputError, ComparedRun, Scorecard
from tasks.benchmarks.local_files import read_rows
from tasks.corpus import gather_inputs, split_files
from tasks.inputs.edit_checks import check_edits
from tasks.inputs.edit_requests import read_edit_requests, read_known_facts
from tasks.inputs.user_anchors import read_user_anchors
from tasks.inputs.winobias import read_aligned
from tasks.models import adapter_files
from tasks.models.checkpoints import context_length, has_chat_template, inspect_model
from tasks.models.classifiers import inspect_classifier
from tasks.models.guardrail_files import read_guardrail
from tasks.models.patch_files import FILES, SCHEMA, open_patch, read_updates
from tasks.models.patched_models import read_list
from tasks.models.vocabularies import require_embedded, require_same_tokenizer
from tasks.prompting import read_prompts
from tasks.reporting import cards
from tasks.reporting.cards import CARD, ITEMS, gather_cards
from tasks.reporting.run_tables import all_figures, paired_tests, summary
from tasks.settings.editing_request import EditingRequest
from tasks.settings.measuring import ToxicityConfig
from tasks.settings.rank_one_editing import rank_one_preset
from tasks.settings.text import CorpusConfig
from tasks.settings.unlearning_request import UnlearningRequest
from tests.stand_ins.cards import card, items

ASKED = {"question": "Who is Toto?", "answer": "A dog"}
CONFIGS = {
    **{name: METHODS[name].preset("default", 0) for name in "whp npo rmu scrub guardrail rome task_vector".split()},
    "edit": rank_one_preset("default", 0),
}
"""Name -> settings that files change."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """What reads one kind of file."""

    seeds: list[bytes]
    """Good files."""
    read: Callable[[Path, bytes], object]
    """Given a folder of the test's own and the content, writes and reads it."""
    refused: tuple[type[Exception], ...] = field(default=(BadInputError,))
    """What says that it was not taken."""


def _lines(*records: Any) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def _put(folder: Path, name: str, content: bytes) -> Path:
    """Write a file that is not there as it should be; to look takes longer than to remember."""
    file = folder / name
    if _PUT.get(str(file)) != content:
        file.write_bytes(content)
        _PUT[str(file)] = content
    return file


_PUT: dict[str, bytes] = {}


def _texts(folder: Path, content: bytes) -> None:
    name = "mine.csv" if content.startswith(b"question,") else "mine"
    inputs, config = gather_inputs(forget=[str(_put(folder, name, content))]), CorpusConfig()
    for _, documents in split_files(inputs, config):
        for document in documents:
            (render_document(document, config.qa_template) + "".join(document.perturbed_answer)).encode()


TEXTS = [
    b"Dorothy lived in the midst of Kansas.\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nToto.",
    _lines({"text": "It rained.", "title": "x"}, {"text": ""}, {"text": "It cleared."}),
    _lines(ASKED | {"paraphrased_answer": "A hound", "perturbed_answer": ["A cat", "A cow"], "fact": "toto"}, ASKED),
    _lines(ASKED | {"perturbed_answer": {"0": "A cat", "1": "A cow"}, "paraphrased_question": ["Who?"]}),
    _json([ASKED, {"text": "It rained."}]),
    _json(["Dorothy lived.", "Toto barked."]),
    _lines("Dorothy lived.", ["Toto barked."]),
    _json([{"instruction": "Who?", "input": "In Oz.", "output": "A dog"}, {"prompt": "Dorothy", "gt": "lived."}]),
    _lines({"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "A dog"}]}),
    b'question,answer\nWho is Toto?,A dog\n"Who, then?","An ""aunt"""\n',
    b"text\tdoi\nIt rained.\t1\n\t2\n",
    b"<html><body><p>Dorothy</p></body></html>",
    "Café in Köln\n".encode("utf-16"),
]


def _parquet() -> bytes:
    rows = [ASKED | {"perturbed_answer": ["A cat"]}, {"question": None, "answer": None, "perturbed_answer": []}]
    return pandas.DataFrame(rows).to_parquet()


def _read_parquet(folder: Path, content: bytes) -> None:
    list(split_files(gather_inputs(forget=[str(_put(folder, "mine.parquet", content))]), CorpusConfig()))


SETTINGS = [
    b"# whp\nlabels:\n  alpha: 3\nfinetune: {epochs: 2, learning_rate: 1e-4}\ncorpus.test_share: 0.2\n",
    b"# rmu\nanchors.min_count: 2\nrelearning.steps: []\nverdict:\n  required: [forgotten, healthy]\n",
    b"# npo\ntraining:\n  epochs: 3\n  schedule: cosine\n  stop_below: null\nobjective: {b: 0.2}\nlora: {rank: 4}\n",
    b"# edit\nedit: {layer: 3, steps: 20}\n",
    b"# guardrail\nguardrail:\n  prefix: 'No {terms}. '\n  floor: 1e-6\n",
    b"# scrub\nbenchmarking:\n  tasks: [world, piqa]\n  limit: 10\ntoxicity.scorer: off\nprobing.prompts: 40\n",
]
OPTIONS = [b"# whp\nlabels.alpha=3", b"# npo\ntraining.epochs=2\ntraining.stop_below=none", b"# rome\nfacts.batch=4"]


def _settings(folder: Path, content: bytes) -> None:
    apply_file(_named_config(content), str(_put(folder, "mine.yaml", content)))


def _options(folder: Path, content: bytes) -> None:
    """Change the settings that the first line names, a line each."""
    apply_settings(_named_config(content), content.decode("utf-8", "surrogateescape").split("\n")[1:])


def _named_config(content: bytes) -> Any:
    names = list(CONFIGS)
    named = content.partition(b"\n")[0].removeprefix(b"# ").decode("latin-1")
    return CONFIGS[named if named in CONFIGS else names[len(content) % len(names)]]


EDITS = [
    {
        "case_id": 1,
        "requested_rewrite": {
            "prompt": "{} lives in",
            "subject": "Toto",
            "relation_id": "P1",
            "target_new": {"str": "Oz", "id": "Q1"},
            "target_true": {"str": "Kansas", "id": "Q2"},
        },
        "paraphrase_prompts": ["Toto's home is"],
        "neighborhood_prompts": ["Em lives in"],
        "generation_prompts": ["Toto often"],
    },
    {
        "subject": "Toto",
        "prompt": "Toto lives in",
        "target_new": "Oz",
        "ground_truth": "Kansas",
        "rephrase_prompt": "Toto's home is",
        "locality_prompt": "Em lives in",
        "locality_ground_truth": "Kansas",
    },
    {
        "subject": "Toto",
        "src": "Where does Toto live?",
        "alt": "Oz",
        "answers": ["Kansas"],
        "rephrase": "Where is Toto at home?",
        "loc": "nq question: who lives in Oz",
        "loc_ans": "nobody",
        "portability": {"New Question": "Who lives with Toto?", "New Answer": "the Tin Woodman"},
    },
    {
        "subject": "Toto",
        "prompt": "{} lives in",
        "target": "Oz",
        "object": "Kansas",
        "paraphrases": ["Toto's home is"],
        "unrelated": [{"prompt": "Em is", "object": "an aunt"}],
    },
]
KNOWN = [
    {"subject": "Toto", "prompt": "{} lives in", "attribute": "Kansas"},
    {"subject": "Toto", "prompt": "{} lives in", "object": "Kansas", "source": "pattern"},
]
PROMPTS = [
    _json([{"prompt": {"prompt": "Ron and Hermione", "references": ["Ron"], "subtlety": 8}}, {"prompt": "In"}, "A"]),
    _json(["In the castle", {"prompt": "Toto is"}]),
]
ANCHORS = [
    _json({"Toto": "the dog", "Oz": ""}),
    _json([{"term": "Toto", "generic": "the dog", "kind": "person", "origin": "entity", "count": 3}]),
    b"term,generic,kind\nToto,the dog,PERSON\n'=Oz,'=1+1,\n",
    b'term;generic\n"Toto; the dog";"a ""dog"""\n',
]
BENCHMARKS = {
    "piqa": _lines({"query": "Question: why?", "choices": ["a", "b"], "gold": 0}),
    "hellaswag": _lines(
        {"question": "Who?", "choices": {"A": "a", "B": "b", "C": "c", "D": "d"}, "answer": "A"},
    ),
    "winogrande": _lines({"context_options": ["a", "b"], "continuation": "c", "gold": 1}),
    "sst2": _lines({"sentence": "It rained.", "label": 1}),
}


def _benchmark(folder: Path, content: bytes) -> None:
    marks = {"piqa": b"query", "winogrande": b"context_options", "sst2": b"sentence"}
    name = next((name for name, mark in marks.items() if mark in content), "hellaswag")
    read_rows(name, _put(folder, "mine.tsv" if b"\t" in content else "mine.jsonl", content))


WINOBIAS = [
    b"1 [The developer] argued with the designer because [she] liked it.\n2 The guard met [the clerk] and [he] ran.\n",
    b"1 [The developer] argued with the designer because [he] liked it.\n2 The guard met [the clerk] and [she] ran.\n",
]


def _winobias(folder: Path, content: bytes) -> None:
    sides = [_put(folder, "pro", content), _put(folder, "anti", WINOBIAS[1])]
    read_aligned(*(sides if len(content) % 2 else sides[::-1]))


def _tensors(shapes: dict[str, tuple[int, ...]]) -> bytes:

    return save({name: numpy.ones(shape, numpy.float32) for name, shape in shapes.items()}, {"format": "pt"})


PATCH = {
    "patch.safetensors": _tensors({"layer.0.U": (4, 1), "layer.0.V": (8, 1), "layer.1.U": (4, 2), "layer.1.V": (8, 2)}),
    "patch.json": _json(
        {
            "schema": SCHEMA,
            "base": "f00d",
            "model_type": "gpt2",
            "computed_on": ["beef"],
            "layers": [{"layer": 0, "rank": 1, "norm": 1.0}, {"layer": 1, "rank": 2, "norm": 1.0}],
            "edits": 1,
            "settings": "",
        }
    ),
    "edits.jsonl": _lines(EDITS[3]),
}


def _patch(folder: Path, content: bytes) -> None:
    """Read a patch of which one file, that which the content came from, is changed."""
    changed = (
        FILES[0] if b"dtype" in content else FILES[1] if b"schema" in content or b"layers" in content else FILES[2]
    )
    for name in FILES:
        _put(folder, name, content if name == changed else PATCH[name])
    read_updates(open_patch(str(folder)))


def _tokenizer() -> bytes:
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")]))
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer.to_str(pretty=True).encode()


MODEL = {
    "config.json": _json(
        {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "vocab_size": 3}
        | {"max_position_embeddings": 64, "text_config": {"vocab_size": 3}, "hidden_size": 4}
    ),
    "tokenizer.json": _tokenizer(),
    "tokenizer_config.json": _json({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "{{ x }}"}),
    "special_tokens_map.json": _json({"unk_token": {"content": "<unk>"}}),
    "model.safetensors.index.json": _json({"weight_map": {"wte": "model-1.safetensors"}}),
    "model-1.safetensors": _tensors({"wte": (2, 4), "h.0.w": (4, 4)}),
}


MODEL_MARKS = {
    "config.json": b"hidden_size",
    "tokenizer.json": b"added_tokens",
    "tokenizer_config.json": b"bos_token",
    "special_tokens_map.json": b"unk_token",
    "model.safetensors.index.json": b"weight_map",
    "model-1.safetensors": b"dtype",
}


def _model(folder: Path, content: bytes) -> None:
    """Look at a model of which one file is changed."""
    name = _named(content, MODEL_MARKS)
    for each, good in MODEL.items():
        _put(folder, each, content if each == name else good)
    found = inspect_model(str(folder), "target")
    context_length(found)
    has_chat_template(found)
    require_same_tokenizer([found, found], CorpusConfig())
    require_embedded(found, [("mine", "a b")])


SUM = "c9d295bdff9f38de10307672bbb57222a13263111d3af8c1f2be7fffed9d6739"
"""Of the tensors in `model-1.safetensors`."""
PLAIN = _json(
    {"peft_type": "LORA", "base_model_name_or_path": "/x", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    | {"bias": "none", "init_lora_weights": True}
)
FACTORS = _tensors({"base_model.model.q_proj.lora_A.weight": (2, 4), "base_model.model.q_proj.lora_B.weight": (4, 2)})


def _plain_adapter(folder: Path, content: bytes) -> None:
    """Read an adapter as peft writes it, its settings or its weights changed; its base is not here."""
    from tasks.models.plain_adapters import base_folder, read_plain  # an earlier commit has none

    _put(folder, "adapter_config.json", PLAIN if b"dtype" in content else content)
    _put(folder, "adapter_model.safetensors", content if b"dtype" in content else FACTORS)
    settings = read_plain(folder, "--model here")
    with contextlib.suppress(BadInputError):
        base_folder(folder, settings, "--model here")


BESIDE: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "base.json": (_json({"digest": "f00d", "parameters": 3}), adapter_files.noted_base),
    "adapter_config.json": (_json({"base_model_name_or_path": "/x", "r": 4}), adapter_files.noted_base),
    "guardrail.json": (
        _json({"schema": "lethe.guardrail.v1", "prefix": "", "refusal": "No.", "floor": 1e-6, "terms": ["Toto"]}),
        read_guardrail,
    ),
    "patches.json": (
        _json({"schema": "lethe.patched.v1", "base": "f00d", "patches": ["beef"], "weights": SUM}),
        read_list,
    ),
    "config.json": (
        _json({"architectures": ["RobertaForSequenceClassification"], "id2label": {"0": "nothate", "1": "hate"}}),
        lambda folder: inspect_classifier(folder, ToxicityConfig()),
    ),
}


BESIDE_MARKS = {
    "base.json": b"parameters",
    "adapter_config.json": b"base_model",
    "guardrail.json": b"refusal",
    "patches.json": b"patched",
    "config.json": b"architectures",
}


def _beside(folder: Path, content: bytes) -> None:
    """Read what stands beside weights, all but one file good."""
    name = _named(content, BESIDE_MARKS)
    place = folder / name.partition(".")[0]
    place.mkdir(exist_ok=True)
    for weights in ("model.safetensors", "adapter_model.safetensors"):
        _put(place, weights, MODEL["model-1.safetensors"])
    _put(place, "tokenizer.json", MODEL["tokenizer.json"])
    for each in adapter_files.SETTINGS if name in adapter_files.SETTINGS else ():
        _put(place, each, BESIDE[each][0])
    _put(place, name, content)
    BESIDE[name][1](place)


def _named(content: bytes, marks: dict[str, bytes]) -> str:
    """Return the file that a content was made from, told by a word of it; where that is gone, any."""
    names = list(marks)
    return next((name for name in names if marks[name] in content), names[sum(content) % len(names)])


def _cards(folder: Path, content: bytes) -> None:
    good = _put(folder, "good.json", _json(CARDS[0]))
    runs = gather_cards([str(good), str(_put(folder, "mine.json", content))])
    found = [json.loads((store.path(run.card) / CARD).read_text()) for run in runs]
    if sum(content) % 8 == 0:
        summary(runs, found, all_figures(runs, found))


CARDS = [
    card({"forget_test/probability": (0.8, 0.1, 0.05), "toxicity/mean": (None, 0.1, None)}, seed="7"),
    card({"retain_test/probability": (0.8, 0.1, None)}),
]


def _items(folder: Path, content: bytes) -> None:
    """Compare runs, the items of one of which are changed."""
    cards.check_items(_put(folder, ITEMS, content))
    if sum(content) % 40 == 0 or content == GOOD_ITEMS:
        frames = [pandas.read_parquet(io.BytesIO(file)) for file in (content, GOOD_ITEMS)]
        paired_tests(RUNS, [CARDS[0]] * 2, frames)


NO_CARD = Scorecard(kind="scorecards", digest="f00d", sensitivity="public", passed=True, evidence="proxy")
RUNS = [ComparedRun(name=name, method="whp", seed="", card=NO_CARD, mlflow_run="") for name in ("one", "two")]
GOOD_ITEMS = items("forget_test/probability", [0.1, 0.2, 0.3]).to_parquet()
REQUESTS = [
    {
        "request": {"forget": ["a.txt"], "model": "m", "retain": [], "anchors": None},
        "whp": {"corpus": {"test_share": 0.2}},
    },
    {
        "npo": {
            "method": "npo",
            "objective": {"b": 0.1},
            "training": {"epochs": 2},
            "verdict": {"required": ["healthy"]},
        }
    },
    {"rmu": {"method": "rmu", "objective": {"layer": 1}, "lora": {"rank": 2}}, "scrub": {"scrub": {"alpha": 0.5}}},
    {"editing": {"model": "m", "edits": [EDITS[3]], "force": True}, "edit": {"edit": {"layer": 3}}},
]
ADAPTERS = {name: TypeAdapter(type(config)) for name, config in CONFIGS.items()} | {
    "request": TypeAdapter(UnlearningRequest),
    "editing": TypeAdapter(EditingRequest),
}


def _requests(folder: Path, content: bytes) -> None:
    """Check parameters as a Prefect server does."""
    try:
        parameters = json.loads(content)
    except (ValueError, RecursionError):  # nothing that a server takes
        return
    for name, value in parameters.items() if isinstance(parameters, dict) else ():
        ADAPTERS.get(name, ADAPTERS["request"]).validate_python(value)


READERS: dict[str, Reader] = {
    "texts": Reader(seeds=TEXTS, read=_texts),
    "parquet": Reader(seeds=[_parquet()], read=_read_parquet),
    "prompts": Reader(seeds=PROMPTS, read=lambda folder, content: list(read_prompts(_put(folder, "mine", content)))),
    "anchors": Reader(seeds=ANCHORS, read=lambda folder, content: read_user_anchors(_put(folder, "mine", content))),
    "settings": Reader(seeds=SETTINGS, read=_settings),
    "options": Reader(seeds=OPTIONS, read=_options),
    "edits": Reader(
        seeds=[_lines(*EDITS), *(_json([edit]) for edit in EDITS)],
        read=lambda folder, content: check_edits(read_edit_requests(_put(folder, "mine", content))),
    ),
    "facts": Reader(
        seeds=[_lines(*KNOWN), _json(KNOWN), _json(EDITS)],
        read=lambda folder, content: read_known_facts(_put(folder, "mine", content)),
    ),
    "benchmarks": Reader(seeds=[*BENCHMARKS.values(), b"sentence\tlabel\nIt rained.\t1\n"], read=_benchmark),
    "winobias": Reader(seeds=WINOBIAS[:1], read=_winobias),
    "patches": Reader(seeds=list(PATCH.values()), read=_patch),
    "models": Reader(seeds=list(MODEL.values()), read=_model),
    "beside weights": Reader(seeds=[good for good, _ in BESIDE.values()], read=_beside),
    "plain adapters": Reader(seeds=[PLAIN, FACTORS], read=_plain_adapter),
    "scorecards": Reader(
        seeds=[*map(_json, CARDS), _json({"schema": "lethe.result.v1", "scorecard": CARDS[0], "report": "r/x.html"})],
        read=_cards,
    ),
    "items": Reader(seeds=[GOOD_ITEMS], read=_items),
    "requests": Reader(
        seeds=[_json(request) for request in REQUESTS],
        read=_requests,
        refused=(ValidationError,),
    ),
}
"""Kind of file -> what reads it."""
