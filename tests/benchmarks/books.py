"""The figures on real text: a small model forgets a book, with the anchors that the pipeline finds.

    python -m tests.benchmarks.books --data DATA [--book oz] [--method whp] [--seeds 0 1 2] [--set key=value ...]
    [--json FILE]

DATA holds `books/` and `tiny_lms/`. Of *The Wizard of Oz* there is a model that never read it, of *Peter Pan* none.
Prints each figure of the target, the unlearned and the retrained model, and the ratios to the target. No setting was
tuned on either book, see `tasks.settings.selective_unlearning`.
"""

from pathlib import Path

from flows.terminal import environment
from tasks.settings.unlearning_request import UnlearningRequest

environment.prepare()

from tests.benchmarks import recording  # noqa: E402 - the environment comes first
from tests.benchmarks.over_seeds import measured, options  # noqa: E402

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


OZ, PAN = "baum_wizard_of_oz.txt", "barrie_peter_pan.txt"


def request(data: Path, book: str = "oz") -> UnlearningRequest:
    """Return what is asked for; the other of both children's books is the sibling."""
    books, models = data / "books", data / "tiny_lms"
    forget, sibling = (OZ, PAN) if book == "oz" else (PAN, OZ)
    return UnlearningRequest(
        forget=(str(books / forget),),
        retain=(
            str(books / "doyle_hound_of_the_baskervilles.txt"),
            str(books / "kipling_the_jungle_book.txt"),
        ),
        sibling=(str(books / sibling),),
        general=(str(books / "doyle_the_lost_world.txt"),),
        model=str(models / "books"),
        retrained=str(models / "books_minus_oz") if book == "oz" else None,
    )


def main() -> None:
    """Measure, record and print."""
    parser = options(__doc__ or "", "whp")
    parser.add_argument("--book", default="oz", choices=("oz", "pan"))
    asked = parser.parse_args()
    record = recording.begin(asked.results, asked.seeds)
    figures = measured(asked, request(asked.data.resolve(), asked.book), SHOWN)
    if asked.method == "auto":
        record.write("books_auto", figures)
    elif asked.book == "oz":
        record.write("books", figures)
    else:
        record.write("books_second", figures)


if __name__ == "__main__":
    main()
