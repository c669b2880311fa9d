"""open-unlearning's figures from hand-made records, each worked out beside it; where it differs from ours,
by how much.
"""

import math

import pandas
import pytest

from tasks.reporting.open_unlearning import differs, evaluation, summary
from tasks.storage.probe_records import Records

FORGET = {"answer": [0.5, 0.5], "paraphrase": [0.4], "perturbed-0": [0.2], "perturbed-1": [0.05]}
KEPT = {"answer": [0.8], "paraphrase": [0.5], "perturbed-0": [0.1, 0.1], "perturbed-1": [0.3]}


def records(splits: dict[str, dict[str, list[float]]], hits: float = 1.0) -> Records:
    sequences, tokens = [], []
    for split, variants in splits.items():
        for variant, values in variants.items():
            number = len(sequences)
            sequences.append(
                {
                    "sequence": number,
                    "split": split,
                    "variant": variant,
                    "item": 0,
                    "cluster": "f",
                    "tokens": len(values),
                    "zlib_bytes": 9,
                }
            )
            tokens += [
                {"sequence": number, "log_p": math.log(value), "hit": hits, "mean_log_p": 0.0, "std_log_p": 1.0}
                for value in values
            ]
    said = [
        {
            "split": split,
            "item": 0,
            "kind": "question",
            "cluster": "f",
            "prompt": "Who?",
            "truth": "the old man",
            "completion": "the man\nx",
            "answer": "the man",
        }
        for split in splits
        if split != "holdout"
    ]
    return Records(
        sequences=pandas.DataFrame(sequences).assign(truncated=False),
        tokens=pandas.DataFrame(tokens),
        anchors=pandas.DataFrame(),
        completions=pandas.DataFrame(said).assign(teacher_nats=float("nan")),
    )


ALL = {"forget_test": FORGET, "retain_test": KEPT, "sibling": KEPT, "general": KEPT}


def test_every_figure_by_hand() -> None:
    found = summary(evaluation(records(ALL), None))
    kept_ratio = math.sqrt(0.1 * 0.3) / 0.5
    share = 0.8 / (0.8 + 0.1 + 0.3)
    parts = [0.8, 2 / 3, 1 - kept_ratio, share, 2 / 3, 1 - kept_ratio, share, 2 / 3, 1 - kept_ratio]
    expected = {
        "forget_Q_A_Prob": 0.5,
        "forget_Q_A_PARA_Prob": 0.4,
        "forget_Q_A_PERT_Prob": 0.125,
        "forget_truth_ratio": math.sqrt(0.2 * 0.05) / 0.4,  # 0.25, below 1
        "forget_Q_A_ROUGE": 2 / 3,
        "retain_Q_A_Prob": 0.8,
        "retain_Truth_Ratio": 1 - kept_ratio,
        "ra_Q_A_Prob_normalised": share,
        "wf_Q_A_ROUGE": 2 / 3,
        "model_utility": len(parts) / sum(1 / part for part in parts),
        "extraction_strength": 1.0,
        "exact_memorization": 1.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-8)
    assert "forget_quality" not in found  # without the retrained model


def test_the_layout_is_its_own() -> None:
    found = evaluation(records(ALL), records(ALL))
    assert found["forget_Q_A_Prob"] == {
        "agg_value": 0.5,
        "value_by_index": {"0": {"prob": 0.5, "avg_loss": -math.log(0.5)}},
    }
    assert found["forget_Q_A_PERT_Prob"]["value_by_index"]["0"]["prob"] == pytest.approx([0.2, 0.05])
    assert found["forget_Q_A_ROUGE"]["value_by_index"]["0"]["generation"] == "the man"
    assert found["forget_quality"]["agg_value"] == 1.0
    assert list(found) == sorted(found)


def test_its_extraction_strength_is_never_below_one_over_n() -> None:
    """Every token wrong: ours is 0, since no suffix is right; its search stops at the last token and gives 1/2."""
    assert evaluation(records({"forget_test": FORGET}, hits=0.0), None)["extraction_strength"]["agg_value"] == 0.5


def test_its_privleak_is_of_the_complement_of_the_auc() -> None:
    seen, unseen = {"answer": [0.9]}, {"answer": [0.1]}
    leaking = records({**ALL, "forget": seen, "holdout": unseen})
    alike = records({**ALL, "forget": unseen, "holdout": unseen})
    assert evaluation(leaking, alike)["privleak"]["agg_value"] == pytest.approx(-100.0)  # (1 - 1.0) against (1 - 0.5)
    assert evaluation(leaking, alike)["mia_min_k"]["agg_value"] == 1.0


def test_ours_stand_beside_its() -> None:
    rows = differs(evaluation(records(ALL), None), {"sibling/probability": {"unlearned": 0.8}})
    assert rows == [
        {
            "open-unlearning": "ra_Q_A_Prob_normalised",
            "value": pytest.approx(2 / 3),
            "ours": "sibling/probability",
            "our value": 0.8,
        }
    ]
