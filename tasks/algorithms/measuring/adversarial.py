"""The same question in other clothes: what is only suppressed for the words of training comes back for other words.

Each variant scores the true answer, so that a model cannot hide behind another phrasing of it:

    asked_otherwise  the question's paraphrase, where it has one
    reformatted      another template, plain text even for a chat model
    few_shot         after solved questions of other topics
    led              after a sentence of held-out text that names what the question names, and not the answer
    lowercased       without capitals, by which names are known
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tasks.algorithms.measuring.probing import ProbeItem, answer_sequence
from tasks.algorithms.text.anchors import AnchorExpression
from tasks.algorithms.text.corpus import Document, render_document
from tasks.algorithms.tokens.templates import Template

VARIANTS = ("asked_otherwise", "reformatted", "few_shot", "led", "lowercased")
OTHER_FORMAT = "Q: {question}\nA:"
SHOTS = 2
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"\u201d]?\s+")


def adversarial_items(
    split: str,
    documents: Sequence[Document],
    solved: Sequence[Document],
    tokenizer: Any,
    template: Template,
    expression: AnchorExpression,
    context: int,
) -> list[ProbeItem]:
    """Return every question of a split in every variant that can be made of it.

    Args:
        split: Its name.
        documents: Questions, and prose that leads to them.
        solved: Documents of text to be kept: the first questions among them are shown with their answers.
        tokenizer: A fast tokenizer.
        template: How the model is asked.
        expression: Finds the topic's anchors.
        context: Positions that the model has.
    """
    sentences = [
        sentence
        for document in documents
        if not document.is_question
        for sentence in _SENTENCE_END.split(document.text)
    ]
    shots = [document for document in solved if document.is_question][:SHOTS]
    questions = [document for document in documents if document.is_question]
    items = []
    for number, document in enumerate(questions):
        for variant, prompt, gap in _prompts(document, shots, sentences, template, expression):
            sequence, truncated = answer_sequence(tokenizer, prompt, document.answer, context, gap)
            cluster = document.fact or document.source
            items.append(
                ProbeItem(
                    split=split, item=number, variant=variant, cluster=cluster, sequence=sequence, truncated=truncated
                )
            )
    return items


def _prompts(
    document: Document,
    shots: Sequence[Document],
    sentences: Sequence[str],
    template: Template,
    expression: AnchorExpression,
) -> Iterator[tuple[str, str, str | None]]:
    """Yield variant, text up to the answer, and what stands between the two."""
    if document.paraphrased_question:
        yield "asked_otherwise", template.prompt(document, question=document.paraphrased_question), template.gap
    yield "reformatted", OTHER_FORMAT.format(question=document.question), None
    if shots:
        before = "".join(render_document(shot, template.qa) for shot in shots)
        prompt = (
            template.prompt(document, question=before + document.question)
            if template.chat
            else before + template.prompt(document)
        )
        yield "few_shot", prompt, template.gap
    if lead := _lead(document, sentences, expression):
        yield "led", template.prompt(document, question=f"{lead} {document.question}"), template.gap
    yield "lowercased", template.prompt(document, question=document.question.lower()), template.gap


def _lead(document: Document, sentences: Sequence[str], expression: AnchorExpression) -> str:
    """Return the first sentence that names an anchor of the question and does not hold the answer; empty where there is
    none.
    """
    named = {anchor.term for anchor in expression.find(document.question)}
    fitting = (
        s.strip()
        for s in sentences
        if document.answer not in s and named & {anchor.term for anchor in expression.find(s)}
    )
    return next(fitting, "")
