"""The commands of `lethe certificate`: what a run has shown, signed, for those who were not there."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.terminal.options import JsonFile
from flows.terminal.running import plain_errors, plain_failures, write_json

certificate = typer.Typer(
    name="certificate",
    no_args_is_help=True,
    help="Evidence records: what a run has shown, signed; evidence at its tier, not a proof of exact removal.",
)
Run = Annotated[
    str,
    typer.Argument(
        metavar="REQUEST|RUN",
        help="A removal request (R-0001), a folder of --out, a scorecard, a file of --json, or an MLflow run id (8"
        " letters do).",
        show_default=False,
    ),
]
Record = Annotated[
    str, typer.Argument(metavar="FILE", help="evidence.json or evidence.html; each stands alone.", show_default=False)
]
Key = Annotated[
    str | None,
    typer.Option(
        metavar="PUB",
        help="Public key (PEM) of whoever is to have signed it, got in another way than the record. [default: this"
        " store's own]",
    ),
]


@certificate.command()
def make(
    run: Run,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Copy record and page there.")] = None,
    json_file: JsonFile = None,
) -> None:
    """Sign a record of a finished run: digests, method, settings, versions, scorecard, thresholds and verdict, times.
    It holds no forgotten text.
    """
    with plain_failures(), plain_errors(out, json_file):
        from tasks.reporting.evidence_records import keep_evidence
        from tasks.reporting.judged_runs import judged_run
        from tasks.storage.evidence_files import PAGE, RECORD
        from tasks.storage.signing_keys import public_key_file

        kept = keep_evidence(judged_run(_judged_by(run)))
        folder = _copied(kept.folder, out)
        places = {"Record": str(folder / RECORD), "Page": str(folder / PAGE), "Public key": str(public_key_file())}
        _show(kept.record, places)
        typer.echo("Hand over the public key in another way than the record, which proves nothing without it.")
        made = {"record": places["Record"], "page": places["Page"], "public_key": places["Public key"]}
        write_json(json_file, {"schema": "lethe.certificate.v1", **_told(kept.record), **made})


@certificate.command()
def verify(file: Record, key: Key = None, json_file: JsonFile = None) -> None:
    """Say whether a record or its page is as it was signed. Exit status 1: it was changed, or signed with another key.

    The key never comes from the file, which could name any.
    """
    with plain_failures(), plain_errors(None, json_file):
        from tasks.storage.evidence_files import read_evidence
        from tasks.storage.signing_keys import own_public_key, read_public_key

        wanted = read_public_key(Path(key).expanduser()) if key is not None else own_public_key()
        record = read_evidence(Path(file).expanduser(), wanted)
        _show(record, {"Verified": f"{file} is as it was signed with this key"})
        write_json(json_file, {"schema": "lethe.verification.v1", "verified": True, **_told(record), "record": record})


def _judged_by(word: str) -> str:
    """Return the run of a removal request, or the word, which names a run already.

    Raises:
        BadInputError: If no run has judged the request yet.
    """
    from tasks.artifacts import BadInputError
    from tasks.removals import register

    if not register.is_id(word):
        return word
    removal = register.find(word)
    if not removal.judged_by:
        raise BadInputError(
            f"removal request {removal.id} is {removal.state} and no run has judged it; wanted one after"
            f" `lethe unlearn --request {removal.id}`"
        )
    return removal.judged_by


def _copied(folder: Path, out: str | None) -> Path:
    """Return where the files are, after copying them where it was asked for."""
    from tasks.storage.evidence_files import PAGE, RECORD

    if out is None:
        return folder
    Path(out).mkdir(parents=True, exist_ok=True)
    for name in (RECORD, PAGE):
        shutil.copy(folder / name, Path(out) / name)
    return Path(out)


def _told(record: dict[str, Any]) -> dict[str, Any]:
    """Return what machines are told of a record."""
    verdict = record["scorecard"]["verdict"]
    return {"about": record["about"], "key": record["key"], "run": record["run"]["id"], "passed": verdict["passed"]}


def _show(record: dict[str, Any], places: dict[str, str]) -> None:
    """Print what a record is, in its first line, and what it says."""
    told = _told(record)
    lines = {
        "Verdict": "passed" if told["passed"] else "not passed",
        "Request": record["run"]["request"] or "none",
        "Run": f"{told['run']} ({record['method'] or 'no method named'}), ended {record['run']['ended']}",
        "Made": record["made"]["at"],
        "Key": told["key"],
        **places,
    }
    typer.echo(record["about"])
    for name, words in lines.items():
        typer.echo(f"{name:<10}  {words}")
