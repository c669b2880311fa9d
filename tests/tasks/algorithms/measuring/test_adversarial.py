"""Other clothes for the same question, read back from the tokens that are scored."""

from typing import Any

import pytest

from tasks.algorithms.measuring.adversarial import VARIANTS, adversarial_items
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document
from tasks.algorithms.tokens.templates import Template, read_template
from tasks.settings.text import CorpusConfig
from tests.stand_ins.chats import chat_tokenizer

TEMPLATE = Template(qa=CorpusConfig().qa_template)
ASKED = Document(
    source="q",
    question="Who rules Velmora?",
    answer="Ostrin",
    paraphrased_question="Velmora is ruled by whom?",
    fact="ruler",
)
PROSE = Document(
    source="p", text="The sea was calm. In Velmora they sing of Ostrin. Nobody leaves Velmora in winter! The end."
)
KEPT = [Document(source="k", question=f"Who met {name}?", answer="the baker") for name in ("Anna", "Maria", "Helen")]
EXPRESSION = anchor_expression(["Velmora", "Ostrin"])


def texts(
    tokenizer: Any, documents: list[Document], solved: list[Document], template: Template = TEMPLATE
) -> dict[str, tuple[str, str]]:
    """Return variant -> what is read, and what of it is scored."""
    found = adversarial_items("forget_test", documents, solved, tokenizer, template, EXPRESSION, 512)
    parts = {
        item.variant: (item.sequence.ids[: item.sequence.start], item.sequence.ids[item.sequence.start :])
        for item in found
    }
    return {
        variant: (tokenizer.decode(before), tokenizer.decode(scored)) for variant, (before, scored) in parts.items()
    }


def test_every_variant_asks_for_the_same_answer(word_tokenizer: Any) -> None:
    found = texts(word_tokenizer, [PROSE, ASKED], KEPT)
    assert set(found) == set(VARIANTS)
    assert {scored.strip() for _, scored in found.values()} == {"Ostrin"}
    asked = {variant: before.rstrip() for variant, (before, _) in found.items()}
    assert asked["asked_otherwise"] == "Question: Velmora is ruled by whom?\nAnswer:"
    assert asked["reformatted"] == "Q: Who rules Velmora?\nA:"
    assert asked["lowercased"] == "Question: who rules velmora?\nAnswer:"
    # the sentence before it gives the answer away
    assert asked["led"] == "Question: Nobody leaves Velmora in winter! Who rules Velmora?\nAnswer:"
    assert asked["few_shot"].startswith("Question: Who met Anna?\nAnswer: the baker\nQuestion: Who met Maria?")
    assert asked["few_shot"].endswith("Question: Who rules Velmora?\nAnswer:")
    assert "Helen" not in asked["few_shot"]


def test_what_cannot_be_made_is_left_out(word_tokenizer: Any) -> None:
    plain = Document(source="q", question="Who is it?", answer="Ostrin")
    assert set(texts(word_tokenizer, [PROSE, plain], [])) == {"reformatted", "lowercased"}
    assert texts(word_tokenizer, [PROSE], KEPT) == {}


def test_a_chat_model_is_asked_in_its_own_template_save_in_the_other_format() -> None:
    tokenizer = chat_tokenizer()
    template = read_template(tokenizer, CorpusConfig())
    found = texts(tokenizer, [PROSE, ASKED], KEPT, template)
    for variant, (before, scored) in found.items():
        assert scored.strip() == "Ostrin", variant
        assert (template.head.strip() in before) == (variant != "reformatted"), variant
    assert found["few_shot"][0].count(template.head.strip()) == 1


@pytest.mark.parametrize("answer", ["Ostrin", "Ostrin the Old"])
def test_the_numbers_of_the_questions_are_those_of_the_plain_ones(word_tokenizer: Any, answer: str) -> None:
    documents = [Document(source="q", question=f"Who rules town {n}?", answer=answer, fact=str(n)) for n in range(3)]
    found = adversarial_items("forget_test", documents, KEPT, word_tokenizer, TEMPLATE, EXPRESSION, 512)
    assert [(item.item, item.cluster) for item in found if item.variant == "lowercased"] == [
        (0, "0"),
        (1, "1"),
        (2, "2"),
    ]
