"""Options that commands share, and lists of files on the command line."""

from typing import Annotated

import typer

Files = list[str]
JsonFile = Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON.")]
Set = Annotated[
    Files | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, such as labels.alpha=3. Repeatable."),
]
ConfigFile = Annotated[str | None, typer.Option("--config", metavar="YAML", help="Settings from a file.")]
Preset = Annotated[str, typer.Option(help="`default`, or `paper`: the paper's constants and nothing added.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Out = Annotated[
    str | None, typer.Option(metavar="DIR", help="Copy model, reports, scorecard, anchors and facts there.")
]
Prompts = Annotated[
    Files | None,
    typer.Option(metavar="FILE...", help='Your own prompts about what is forgotten, JSON: [{"prompt": ...}].'),
]
_ANCHORS = (
    "Your anchors and translations, JSON or CSV. A dictionary adds to what is found; the table of --dry-run --out is"
    " the whole list, less what you cut."
)
Anchors = Annotated[str | None, typer.Option(metavar="FILE", help=_ANCHORS)]
BenchmarkData = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Folder with local benchmark files, such as arc_easy.jsonl; all found are run."),
]
Topic = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=(
            "Topic of the embedded world: series, book, second-series, planets, or a series by name; a wrong one lists"
            " them."
        ),
    ),
]
_LORA = (
    "Train adapters of this rank (LoRA) in place of all weights; --set lora.output=adapter keeps the adapter apart."
    " [default: 0, all weights]"
)
LoraRank = Annotated[int | None, typer.Option("--lora-rank", metavar="R", help=_LORA)]
Teacher = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="NAME",
        help="The frozen model's word: cached, computed once, or live, asked in every step. [default: cached]",
    ),
]
WinoBias = Annotated[
    str | None,
    typer.Option(
        "--winobias",
        metavar="DIR",
        help="Instead of FORGET: WinoBias' files; stereotyped sentences are forgotten, their counterparts kept.",
    ),
]
_WHERE = "Where stages run"
Runner = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help=(
            "local, dask://HOST:PORT or ray://HOST:PORT: a cluster whose machines share the store, the texts and the"
            " models. [default: local]"
        ),
        show_default=False,
        rich_help_panel=_WHERE,
    ),
]
Reproducible = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=(
            "bitwise: unlike machines share no results; numeric: they share them, equal but for rounding; auto: numeric"
            " on a cluster."
        ),
        rich_help_panel=_WHERE,
    ),
]
RequireVerdict = Annotated[bool, typer.Option("--require-verdict", help="Exit with 1 if the verdict is not passed.")]
ReviewAll = Annotated[
    bool, typer.Option("--review-all", help="The same, and be asked anew about what you decided in an earlier run.")
]
_TRANSLATION = "Other language models that are asked"
Translator = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=(
            "Who translates anchors: offline, huggingface (a local instruct model), openai-compatible (a server: vLLM,"
            " Ollama, llama.cpp) or openai."
        ),
        rich_help_panel=_TRANSLATION,
    ),
]
PromptWriter = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Who writes prompts that invite models to speak of the topic; names as above.",
        rich_help_panel=_TRANSLATION,
    ),
]
Judge = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Who rates how much of the topic a completion knows, 0 to 3; names as above.",
        rich_help_panel=_TRANSLATION,
    ),
]
TranslatorModel = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Folder of the instruct model, or its name on the server, for all three.",
        rich_help_panel=_TRANSLATION,
    ),
]
TranslatorUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Address of the server, such as http://127.0.0.1:8000/v1.", rich_help_panel=_TRANSLATION
    ),
]
TranslatorFallback = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="`offline`: go on without the model where it cannot be asked.",
        rich_help_panel=_TRANSLATION,
    ),
]
AllowRemote = Annotated[
    bool,
    typer.Option(
        "--allow-remote-translator",
        help="Let text that is to be forgotten go to another machine.",
        rich_help_panel=_TRANSLATION,
    ),
]

LISTS = frozenset(
    {"--forget", "--retain", "--forget-test", "--retain-test", "--sibling", "--general", "--holdout", "--prompts"}
)
"""Options that take every path up to the next option."""


def spread_lists(words: list[str]) -> list[str]:
    """Write `--retain A B` as `--retain A --retain B`, which the parser understands.

    Without this, B would be read as one more text to forget.
    """
    spread: list[str] = []
    option = ""
    for word in words:
        if word.startswith("-"):
            option = word if word in LISTS else ""
            spread += [] if option else [word]
        else:
            spread += [option, word] if option else [word]
    return spread
