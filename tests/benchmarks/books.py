"""The figures on real text: a small model forgets *The Wizard of Oz*, with the anchors that the pipeline finds.

    python -m tests.benchmarks.books --data DATA [--seeds 0 1 2] [--set key=value ...] [--json FILE]

DATA holds `books/` and `tiny_lms/`. Prints each figure of the target, the unlearned and the retrained model, and the
ratios to the target.
"""

from pathlib import Path

from flows.terminal import environment
from tasks.settings.unlearning_request import UnlearningRequest

environment.prepare()

from tests.benchmarks.over_seeds import main  # noqa: E402 - the environment comes first

SHOWN = (
    "forget_test/familiarity_first",
    "forget_test/familiarity",
    "forget_test/familiarity_interior",
    "forget_test/familiarity_completion",
    "forget_test/perplexity",
    "retain_test/perplexity",
    "general/perplexity",
    "sibling/perplexity",
)


def request(data: Path) -> UnlearningRequest:
    """Return what is asked for."""
    books, models = data / "books", data / "tiny_lms"
    return UnlearningRequest(
        forget=(str(books / "baum_wizard_of_oz.txt"),),
        retain=(
            str(books / "doyle_hound_of_the_baskervilles.txt"),
            str(books / "kipling_the_jungle_book.txt"),
        ),
        sibling=(str(books / "barrie_peter_pan.txt"),),
        general=(str(books / "doyle_the_lost_world.txt"),),
        model=str(models / "books"),
        retrained=str(models / "books_minus_oz"),
    )


if __name__ == "__main__":
    main("books", __doc__ or "", request, SHOWN)
