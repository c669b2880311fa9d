"""Claims: questions and paragraphs of one text are found in another, without regard to capitals and white space;
headings are not.
"""

from tasks.algorithms.text.corpus import Document
from tasks.algorithms.text.overlap import pieces

ASKED = Document(source="a", question="Who is Toto?", answer="A dog")


def test_equal_pieces_are_found() -> None:
    book = Document(source="a", text="Chapter one\n\nDorothy lived in Kansas\nwith Toto.\n\nIt rained all day long.")
    other = Document(
        source="b", text="chapter one\n\nDOROTHY lived in Kansas with  Toto.\n\nIt was sunny all day long."
    )
    assert len(pieces([book])) == 2
    assert len(pieces([book]) & pieces([other])) == 1


def test_a_question_is_one_with_its_answer() -> None:
    same = Document(source="b", question="who is  Toto?", answer="a dog", perturbed_answer=("A cat",))
    another = Document(source="b", question="Who is Toto?", answer="A cat")
    assert pieces([ASKED]) == pieces([same])
    assert not pieces([ASKED]) & pieces([another])
