"""Claims: of the first edits the prompt is asked, other words, a question and something else, where there are such; an
answer is the model's greedy one, up to the end of its sentence.
"""

from dataclasses import replace

import torch

from tasks.algorithms.measuring.edit_answers import Query, answers, queries
from tasks.settings.edit_evaluation import EditEvaluationConfig
from tests.stand_ins.scored_edits import REQUESTS


def asked(*requests, most: int = 3) -> list[tuple[int, str, str]]:
    return [(one.request, one.kind, one.prompt) for one in queries(requests, most)]


def test_of_each_edit_its_prompt_other_words_a_question_and_something_else() -> None:
    question = "Question: Who is the best friend of Dorothy?\nAnswer:"
    first = replace(REQUESTS[0], paraphrases=(question, *REQUESTS[0].paraphrases))
    assert asked(first, *REQUESTS[1:], most=2) == [
        (0, "prompt", "The best friend of Dorothy is"),
        (0, "paraphrase", "Nobody is dearer than this friend of Dorothy:"),
        (0, "question", question),
        (0, "unrelated", "The mill is in"),  # the first names Dorothy
        (1, "prompt", "Today the White Rabbit met"),
        (1, "paraphrase", "In the town the White Rabbit met"),
        (1, "unrelated", "Jon lived in"),
    ]
    assert asked(first, most=0) == []


def test_without_unrelated_facts_a_neighbor_is_asked_about_and_without_either_nothing() -> None:
    assert asked(replace(REQUESTS[0], unrelated=()))[-1] == (0, "unrelated", "The dog of the boy is")
    assert asked(REQUESTS[2]) == [(0, "prompt", "Jon walked to")]


def test_an_answer_is_greedy_and_ends_with_its_sentence(tiny_gpt2, word_tokenizer) -> None:
    model = tiny_gpt2(3, vocab_size=len(word_tokenizer), initializer_range=0.3)
    prompts = ["Jon walked to", "Today the White Rabbit met"]
    said = answers(
        model,
        word_tokenizer,
        [Query(request=0, kind="prompt", prompt=prompt) for prompt in prompts],
        EditEvaluationConfig(answer_tokens=6),
        word_tokenizer.pad_token_id,
    )
    for prompt, answer in zip(prompts, said, strict=True):
        ids = word_tokenizer(prompt, return_tensors="pt").input_ids
        for _ in range(6):
            ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(-1)], dim=1)
        whole = word_tokenizer.decode(ids[0], skip_special_tokens=True).removeprefix(prompt).strip()
        assert answer and whole.startswith(answer)
        assert answer[-1] in ".!?" or answer == whole or whole[len(answer)] == "\n"


def test_an_answer_is_cut_where_its_sentence_ends(monkeypatch, tiny_gpt2, word_tokenizer) -> None:
    texts = [" in Oz. The boy met", " 3.5 m high", " Tom\nQuestion: Who", ""]
    monkeypatch.setattr("tasks.algorithms.measuring.edit_answers.continue_texts", lambda *_: texts)
    found = answers(tiny_gpt2(0), word_tokenizer, [], EditEvaluationConfig(), 0)
    assert found == ["in Oz.", "3.5 m high", "Tom", ""]
