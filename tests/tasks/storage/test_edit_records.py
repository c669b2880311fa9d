"""Records of edits come back from disk as they were, model by model."""

from pathlib import Path

from tasks import store
from tasks.algorithms.measuring.edit_questions import TOGETHER
from tasks.algorithms.measuring.edit_scores import EditRecords, ObjectScore, TextScore
from tasks.algorithms.measuring.edit_texts import WrittenText
from tasks.algorithms.measuring.logit_lens import LensRank
from tasks.artifacts import Artifact
from tasks.storage.edit_records import read_edit_records, write_edit_records


def kept(records: dict[str, EditRecords]) -> Artifact:
    digest = store.put("edit_scores", lambda folder: write_edit_records(folder, records), sensitivity="forget")
    return Artifact(kind="edit_scores", digest=digest, sensitivity="forget")


def score(request: int, hits: tuple[bool, ...]) -> ObjectScore:
    return ObjectScore(request=request, role="rewrite", number=0, object="new", log_p_nats=-1.5, hits=hits)


def test_records_come_back_as_they_were(lethe_home: Path) -> None:
    records = {
        "before": EditRecords(
            objects=(score(0, (True,)), score(TOGETHER, (True, False, True))),
            written=(WrittenText(request=0, number=1, text="Toto,\n“José” met"),),
            texts=(TextScore(text=3, window=2, log_p_nats=-0.25, tokens=7),),
            lens=(LensRank(request=0, rank=19),),
        ),
        "after": EditRecords(objects=(score(0, (False, False)),)),
    }
    assert read_edit_records(kept(records)) == records
    types = {
        type(hit) for found in read_edit_records(kept(records)).values() for one in found.objects for hit in one.hits
    }
    assert types == {bool}


def test_nothing_comes_back_as_nothing(lethe_home: Path) -> None:
    assert read_edit_records(kept({})) == {}
