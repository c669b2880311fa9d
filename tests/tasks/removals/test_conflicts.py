"""Claims: a request whose retain text holds a row that another forgets, or an anchor of its text, is in conflict with
it; counted, and without its text; one is none of its own.
"""

from tasks.algorithms.text.corpus import Document
from tasks.removals.conflicts import AskedText, Conflict, find_conflicts

ROW = Document(source="a", question="Who is Toto?", answer="A dog")
PROSE = Document(source="a", text="Dorothy lived in Kansas with Toto.\n\nIt rained on all of them, all day long.")
PLAIN = Document(source="b", text="The miller walked to the market by the river.")


def asked(name: str, forget: list[Document], retain: list[Document], *terms: str) -> AskedText:
    return AskedText(id=name, forget=forget, retain=retain, terms=frozenset(terms))


def test_rows_and_paragraphs_that_one_keeps_and_the_other_forgets_are_counted() -> None:
    kept = Document(source="c", text="IT RAINED on all of them, all day long.")
    found = find_conflicts([asked("R-0001", [ROW, PROSE], [PLAIN]), asked("R-0002", [PLAIN], [kept, ROW])])
    assert found == [
        Conflict(keeps="R-0001", forgets="R-0002", rows=1, anchors=0),
        Conflict(keeps="R-0002", forgets="R-0001", rows=2, anchors=0),
    ]
    assert found[1].in_words() == "R-0002 keeps what R-0001 forgets (2 rows, 0 anchors)"


def test_anchors_of_the_other_are_counted_once_each_in_text_and_questions() -> None:
    kept = [Document(source="c", text="Toto and Toto's bone."), Document(source="c", question="Kansas?", answer="No")]
    found = find_conflicts(
        [asked("R-0001", [PROSE], [PLAIN], "Toto", "Kansas", "Dorothy"), asked("R-0002", [PLAIN], kept, "river")]
    )
    assert found == [
        Conflict(keeps="R-0001", forgets="R-0002", rows=1, anchors=1),
        Conflict(keeps="R-0002", forgets="R-0001", rows=0, anchors=2),
    ]


def test_without_either_there_is_none_also_not_with_itself() -> None:
    assert find_conflicts([asked("R-0001", [PROSE], [PLAIN, PROSE], "Toto"), asked("R-0002", [ROW], [PLAIN])]) == []
    assert find_conflicts([]) == []
