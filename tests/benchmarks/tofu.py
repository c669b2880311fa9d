"""The figures on TOFU: a small model that learned all authors forgets those of forget10, judged against one that never
saw them.

    python -m tests.benchmarks.tofu --data DATA [--method whp] [--seeds 0 1 2] [--set key=value ...] [--json FILE]

DATA holds `tofu/` and `tiny_lms/`. As TOFU has it, the questions that are forgotten are those that are asked.
"""

from pathlib import Path

from flows.terminal import environment
from tasks.settings.unlearning_request import UnlearningRequest

environment.prepare()

from tests.benchmarks import recording  # noqa: E402 - the environment comes first
from tests.benchmarks.over_seeds import measured, options  # noqa: E402

SETTINGS = ["probing.prompts=100", "probing.new_tokens=64"]
"""TOFU's answers are sentences: longer, and more of them, than the default asks for."""
SHOWN = (
    "forget_test/probability",
    "forget_test/probability_most",
    "forget_test/rouge_l",
    "forget_test/truth_ratio",
    "forget_test/choice_accuracy",
    "forget/forget_quality_p",
    "forget_test/answer_extraction_strength",
    "forget_test/answer_exact_memorization",
    "retain_test/probability",
    "retain_test/rouge_l",
    "retain_test/truth_ratio",
    "sibling/probability",
    "general/probability",
    "utility/model_utility",
)


def request(data: Path) -> UnlearningRequest:
    """Return what is asked for."""
    tofu, models = data / "tofu", data / "tiny_lms"
    return UnlearningRequest(
        forget=(str(tofu / "forget10.json"),),
        forget_test=(str(tofu / "forget10_perturbed.json"),),
        retain=(str(tofu / "retain90.json"),),
        retain_test=(str(tofu / "retain_perturbed.json"),),
        sibling=(str(tofu / "real_authors_perturbed.json"),),
        general=(str(tofu / "world_facts_perturbed.json"),),
        model=str(models / "tofu_full"),
        retrained=str(models / "tofu_retain90"),
    )


def main() -> None:
    """Measure, record and print."""
    asked = options(__doc__ or "", "whp").parse_args()
    record = recording.begin(asked.results, asked.seeds)
    record.write("tofu", measured(asked, request(asked.data.resolve()), SHOWN, SETTINGS))


if __name__ == "__main__":
    main()
