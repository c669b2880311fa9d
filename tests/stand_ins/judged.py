"""A run that ended with a scorecard, as flows leave one on the tracking server, made by hand."""

import hashlib
from pathlib import Path
from typing import Any

import yaml

from tasks import tracking
from tasks.artifacts import InputFile
from tasks.reporting.cards import CARD, ITEMS
from tasks.reporting.judged_runs import CONFIG, CONFIG_DIGEST
from tests.stand_ins.cards import card, items, write_card


def _file(name: str) -> InputFile:
    return InputFile(path=f"/texts/{name}", digest=hashlib.sha256(name.encode()).hexdigest(), bytes=9)


MODELS = {"target model": "1" * 64, "unlearned model": "2" * 64, "retrained model": "3" * 64}
GOLD = card({"forget_test/probability": (0.8, 0.1, 0.05)}, **MODELS)
HELD = items("forget_test/probability", [0.1, 0.2])
SETTINGS = {
    "finetune": {"seed": 3},
    "verdict": {"forgotten_gap": 0.08, "required": ["forgotten", "healthy"]},
    "judging": {"model": "/home/velmora/models/judge", "base_url": "http://velmora:secret@127.0.0.1:8000/v1"},
}
GIVEN = {
    "forget": [_file(f"Velmora-{number}.txt") for number in range(11)],
    "retain": [_file("kept.txt")],
}


def log_judged(folder: Path, found: dict[str, Any] = GOLD, status: str = "FINISHED", earlier: bool = False) -> str:
    """Log a run and return its id.

    Args:
        folder: Where its card is written before it is logged.
        found: The card.
        status: How the run ended.
        earlier: Whether it is one of a version that did not log what its card says, and settings as params.
    """
    tags = {"lethe.method": "whp", "lethe.prefect_flow_run": "0" * 8, "lethe.request": "R-0007"}
    params = {"method": "whp", "questions": "qa_template", **({"config": SETTINGS} if earlier else {})}
    run = tracking.open_run("whp 12345678", params, tags)
    if not earlier:
        kept = yaml.safe_dump(SETTINGS)
        tracking.log_text(run, kept, CONFIG, "public")
        tracking.set_tags(run, {CONFIG_DIGEST: hashlib.sha256(kept.encode()).hexdigest()})
    tracking.log_inputs(run, GIVEN)
    for stage in ("corpus", "probing unlearned"):
        with tracking.stage_run(run, stage):
            pass
    write_card(folder, found, HELD)
    for name in (CARD, ITEMS):
        tracking.log_artifact(run, folder / name, "public", "scorecard")
    tracking.log_scorecard(run, found)
    if earlier:
        tracking.client().delete_tag(run, tracking.CARD_DIGEST)
    if status != "RUNNING":
        tracking.close(run, status)
    return run
