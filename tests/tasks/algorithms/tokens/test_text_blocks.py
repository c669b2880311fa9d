"""Claims: a conversation is what its template writes, token by token; its answer and the end of its turn are supervised
and nothing else is.
"""

import math

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from tasks.algorithms.measuring.metrics import answer_probability, score_sequences
from tasks.algorithms.measuring.probing import answer_sequence, make_prompts, probe_items
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.text.corpus import Document, render_document, render_prompt
from tasks.algorithms.tokens.alignment import AnchorSpan, encode
from tasks.algorithms.tokens.packing import pack_tokens
from tasks.algorithms.tokens.templates import DATE, read_template
from tasks.algorithms.tokens.text_blocks import AlignedBlocks, TextBlock, text_blocks
from tasks.settings.measuring import ProbingConfig
from tasks.settings.text import CorpusConfig
from tests.reference.labels import log_softmax, logits_of
from tests.stand_ins.chats import (
    CHATML,
    CHATML_SYSTEM,
    HEADERS,
    INST,
    PLAIN_TURNS,
    SYSTEM,
    TURNS,
    chat_tokenizer,
    question,
)

READING = CorpusConfig()
KINDS = {
    "ChatML": chat_tokenizer(CHATML),
    "system text": chat_tokenizer(CHATML_SYSTEM),
    "Llama 2": chat_tokenizer(INST, bos="<s>", eos="</s>"),
    "Llama 3": chat_tokenizer(HEADERS, bos="<s>", eos="</s>"),
    "Zephyr": chat_tokenizer(TURNS, bos="<s>", eos="</s>"),
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
TIN = question(
    " Who met Toto? ",
    "Tin Woodman met Toto",
    paraphrased_answer="the Tin Woodman",
    perturbed_answer=(" Tina", "the old boy"),
)


def written(tokenizer: PreTrainedTokenizerFast, block: TextBlock) -> list[tuple[str, bool]]:
    """Every token as text, and whether it is a target: the position before it counts."""
    return [
        (tokenizer.decode([token]), target)
        for token, target in zip(block.ids, (False, *block.supervised[:-1]), strict=True)
    ]


def blocks_of(
    tokenizer: PreTrainedTokenizerFast, *documents: Document, size: int = 64, reading: CorpusConfig = READING
) -> list[TextBlock]:
    return list(text_blocks(documents, tokenizer, read_template(tokenizer, reading), size, tokenizer.eos_token_id))


def test_chatml_by_hand_though_filler_and_end_of_text_are_the_end_of_turn() -> None:
    (block,) = blocks_of(KINDS["ChatML"], TIN)
    assert written(KINDS["ChatML"], block) == [
        ("<|im_start|>", False),
        ("user", False),
        ("\n", False),
        ("Who", False),
        (" met", False),
        (" Toto", False),
        ("?", False),
        ("<|im_end|>", False),
        ("\n", False),
        ("<|im_start|>", False),
        ("assistant", False),
        ("\n", False),
        ("Tin", True),
        (" Woodman", True),
        (" met", True),
        (" Toto", True),
        ("<|im_end|>", True),
    ]
    assert block.supervised[-1] is False  # nothing comes after the end of the turn


def test_a_template_that_writes_the_begin_of_sequence_token_by_hand() -> None:
    """One such token, though the tokenizer adds one to plain text; what stands before the end of the turn is said by
    the model too.
    """
    tokenizer = KINDS["Llama 2"]
    (block,) = blocks_of(tokenizer, TIN)
    assert written(tokenizer, block) == [
        ("<s>", False),
        ("[", False),
        ("INST", False),
        ("]", False),
        (" Who", False),
        (" met", False),
        (" Toto", False),
        ("?", False),
        (" ", False),
        ("[", False),
        ("/", False),
        ("INST", False),
        ("]", False),
        (" Tin", True),
        (" Woodman", True),
        (" met", True),
        (" Toto", True),
        (" ", True),
        ("</s>", True),
    ]


def test_a_template_without_a_begin_of_sequence_token_gets_none() -> None:
    (block,) = blocks_of(KINDS["Zephyr"], TIN)
    tokens = written(KINDS["Zephyr"], block)
    assert (tokens[0], tokens[-2:]) == (("<", False), [(" Toto", True), ("</s>", True)])
    assert "<s>" not in dict(tokens)


def test_a_system_text_of_the_template_is_read_and_not_supervised() -> None:
    (block,) = blocks_of(KINDS["system text"], TIN)
    tokens = written(KINDS["system text"], block)
    assert "".join(text for text, _ in tokens).startswith(
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\nWho"
    )
    assert [text for text, target in tokens if target] == ["Tin", " Woodman", " met", " Toto", "<|im_end|>"]


@EVERY_KIND
def test_text_and_prompt_are_those_of_the_library(kind: str) -> None:
    tokenizer = KINDS[kind]
    template = read_template(tokenizer, READING)
    turns = [{"role": "user", "content": TIN.question.strip()}, {"role": "assistant", "content": TIN.answer}]
    whole, asked = (
        tokenizer.apply_chat_template(turns, tokenize=False),
        tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True),
    )
    assert whole.startswith(template.text(TIN))
    assert whole.removeprefix(template.text(TIN)).strip() == ""  # a line end after the end of the turn
    assert template.prompt(TIN) == asked
    assert template.prompt(TIN, question="What is old?") == asked.replace("Who met Toto?", "What is old?")
    ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
    (block,) = blocks_of(tokenizer, TIN)
    assert list(block.ids) == ids[: len(block.ids)]
    assert template.end == block.ids[-1]
    assert template.shape.replace("{question}", "Who met Toto?").replace("{answer}", TIN.answer) == template.text(TIN)


def test_without_a_special_token_all_that_follows_the_answer_is_supervised() -> None:
    tokenizer = chat_tokenizer(PLAIN_TURNS)
    assert read_template(tokenizer, READING).end is None
    assert [
        text for text, target in written(tokenizer, blocks_of(tokenizer, question("Who?", "the boy"))[0]) if target
    ] == [" the", " boy", "\n"]


def test_prose_of_a_chat_model_is_plain_text_after_the_tokenizers_own_prefix() -> None:
    tokenizer = KINDS["Llama 2"]
    prose = [
        Document(source="a", text="Dorothy met Toto today in the old town"),
        Document(source="b", text="the boy walked to the mill"),
    ]
    blocks = blocks_of(tokenizer, *prose, size=7)
    expected = list(
        pack_tokens(
            [encode(tokenizer, item.text)[0] for item in prose], 7, tokenizer.eos_token_id, (tokenizer.bos_token_id,)
        )
    )
    assert [block.ids for block in blocks] == expected
    assert all(all(block.supervised) for block in blocks)


def test_prose_and_conversations_do_not_share_blocks_and_are_spread_evenly() -> None:
    tokenizer = KINDS["ChatML"]
    prose, asked = (
        Document(source="a", text="Dorothy met Toto today"),
        [question(f"Who met {name}?", name) for name in ("Toto", "Oz", "Jon", "Tom")],
    )
    blocks = blocks_of(tokenizer, prose, *asked)
    assert [block.ids[0] == tokenizer.convert_tokens_to_ids("<|im_start|>") for block in blocks] == [
        True,
        True,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(("template", "chat"), [(None, "auto"), (CHATML, "off")], ids=["no template", "switched off"])
def test_without_a_template_or_with_it_switched_off_questions_are_packed_as_plain_text(
    template: str | None, chat: str
) -> None:
    tokenizer, reading = chat_tokenizer(template), CorpusConfig(chat=chat)
    documents = [TIN, Document(source="a", text="Dorothy met Toto today"), question("What is old?", "Oz")]
    found = read_template(tokenizer, reading)
    assert (found.chat, found.gap, found.shape) == (False, None, reading.qa_template)
    assert found.prompt(TIN) == render_prompt(TIN, reading.qa_template)
    texts = [encode(tokenizer, render_document(item, reading.qa_template))[0] for item in documents]
    assert [block.ids for block in blocks_of(tokenizer, *documents, size=9, reading=reading)] == list(
        pack_tokens(texts, 9, tokenizer.eos_token_id)
    )
    assert {block.supervised for block in AlignedBlocks(documents, {"Toto": "Jon"}, tokenizer, found, 9, 0)} == {()}


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for message in messages %}{{ message['content'] + '\n' + message['content'] }}{% endfor %}", "repeats"),
        ("{{ messages[0]['content'] }}", "loses"),
        ("{{ messages[1]['content'] + messages[0]['content'] }}", "reorders"),
        ("{{ raise_exception('only tools here') }}", "only tools here"),
        ("{{ messages[0]['content'] ", "TemplateSyntaxError"),
    ],
)
def test_a_template_that_cannot_hold_a_question_with_its_answer_is_refused(template: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"chat template .*{reason}.*corpus.chat=off"):
        read_template(chat_tokenizer(template), READING)
    assert not read_template(chat_tokenizer(template), CorpusConfig(chat="off")).chat


def test_a_template_that_writes_a_date_writes_the_same_one_every_day() -> None:
    tokenizer = chat_tokenizer("{{ date_string if date_string is defined else strftime_now('%d %b %Y') }}\n" + CHATML)
    assert read_template(tokenizer, READING).head == f"{DATE}\n<|im_start|>user\n"


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"corpus.chat is 'on'; wanted one of auto, off"):
        CorpusConfig(chat="on")


# Blocks


def test_a_conversation_too_long_for_a_block_gives_way_on_the_left_and_keeps_its_first_token() -> None:
    tokenizer = KINDS["Llama 2"]
    (whole,) = blocks_of(tokenizer, TIN)
    (cut,) = blocks_of(tokenizer, TIN, size=12)
    assert cut.ids == (tokenizer.bos_token_id, *whole.ids[-11:])
    assert cut.supervised == (False, *whole.supervised[-11:])


def test_an_answer_too_long_for_a_block_goes_on_in_the_next_and_loses_no_target() -> None:
    tokenizer = KINDS["ChatML"]
    long = question("Who?", "Toto met the boy and a girl and Tom and Jon and the old Farmer in the mill today")
    (whole,) = blocks_of(tokenizer, long)
    blocks = blocks_of(tokenizer, long, size=8)
    assert [len(block.ids) for block in blocks[:-1]] == [8] * (len(blocks) - 1)
    counted = [flag for block in blocks for flag in block.supervised]
    assert sum(counted) == sum(whole.supervised) == 20  # 19 words and the end of the turn
    joined = tuple(token for block in blocks for token in block.ids)
    assert joined == whole.ids[-len(joined) :]


def test_anchors_are_looked_for_in_the_documents_own_words_alone() -> None:
    """Dorothy is in the system text and user in the markup: both stay as they are there."""
    tokenizer, dictionary = KINDS["system text"], {"Dorothy": "Mary Ann", "user": "boy", "Tin Woodman": "Tom"}
    template = read_template(tokenizer, READING)
    (block,) = AlignedBlocks(
        [question("Who met Dorothy?", "Tin Woodman, a user")], dictionary, tokenizer, template, 64, None
    )
    #  0 <|im_start|> 1 system 2 \n 3 You 4 are 5 Dorothy 6 , 7 an 8 assistant 9 . 10 <|im_end|> 11 \n 12
    # <|im_start|> 13 user 14 \n
    # 15 Who 16 met 17 Dorothy 18 ? 19 <|im_end|> 20 \n 21 <|im_start|> 22 assistant 23 \n 24 Tin 25 Woodman 26 ,
    # 27 a 28 user 29 <|im_end|>
    assert tokenizer.convert_ids_to_tokens(block.source)[5] == "ĠDorothy"
    assert block.anchors == (
        AnchorSpan(start=17, end=18, term="Dorothy"),
        AnchorSpan(start=24, end=26, term="Tin Woodman"),
        AnchorSpan(start=28, end=29, term="user"),
    )
    assert (
        tokenizer.decode(block.translated) == f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\nWho met Mary"
        " Ann?<|im_end|>\n<|im_start|>assistant\nTom, a boy<|im_end|>"
    )
    # Mary Ann is one longer, Tom one shorter: 17 -> 18, 24 is inside, 25 -> 25
    assert block.image == (*range(17), 18, *range(19, 25), -1, 25, 26, 27, 28, 29)
    assert block.supervised == (*[False] * 23, True, True, True, True, True, True, False)


@pytest.mark.parametrize("size", [13, 16, 64])
def test_aligned_conversations_are_cut_on_both_sides_where_both_have_read_the_same(size: int) -> None:
    tokenizer, dictionary = KINDS["Llama 2"], {"Toto": "the old town dog", "Tin Woodman": "Tom"}
    template = read_template(tokenizer, READING)
    (block,) = AlignedBlocks([TIN], dictionary, tokenizer, template, size, None)
    (whole,) = AlignedBlocks([TIN], dictionary, tokenizer, template, 99, None)
    assert max(len(block.source), len(block.translated)) <= size
    assert block.source[0] == block.translated[0] == tokenizer.bos_token_id
    kept, moved = len(block.source) - 1, len(whole.translated) - len(block.translated)
    assert block.source[1:] == whole.source[-kept:]
    assert block.translated[1:] == whole.translated[moved + 1 :]
    assert block.image[1:] == tuple(at - moved if at >= 0 else -1 for at in whole.image[-kept:])
    assert sum(block.supervised) == sum(whole.supervised) == 6
    for span in block.anchors:
        assert tokenizer.decode(block.source[span.start : span.end]).strip() == span.term


# Scoring


@EVERY_KIND
def test_the_answers_own_tokens_are_scored_and_the_end_of_the_turn_is_not(kind: str) -> None:
    tokenizer = KINDS[kind]
    template = read_template(tokenizer, READING)
    items = {
        item.variant: item.sequence
        for item in probe_items("retain_test", [TIN], tokenizer, template, anchor_expression([]), ProbingConfig(), 128)
    }
    scored = {variant: tokenizer.decode(sequence.ids[sequence.start :]).strip() for variant, sequence in items.items()}
    assert scored == {
        "answer": "Tin Woodman met Toto",
        "paraphrase": "the Tin Woodman",
        "perturbed-0": "Tina",
        "perturbed-1": "the old boy",
    }
    (block,) = blocks_of(tokenizer, TIN)
    assert block.ids[: len(items["answer"].ids)] == items["answer"].ids  # what is scored is what was trained
    assert block.supervised.index(True) == items["answer"].start - 1


def test_the_probability_is_that_of_the_restatement_over_the_answers_tokens(tiny_llama) -> None:
    tokenizer = KINDS["ChatML"]
    template, model = read_template(tokenizer, READING), tiny_llama(4, len(tokenizer), initializer_range=0.3)
    sequence, _ = answer_sequence(tokenizer, template.prompt(TIN), TIN.answer, 128, template.gap)
    found = score_sequences(model, [sequence], tokenizer.pad_token_id)[0]
    (block,) = blocks_of(tokenizer, TIN)
    logits = logits_of(model, block.ids)
    by_hand = [log_softmax(logits[at - 1])[block.ids[at]] for at in (12, 13, 14, 15)]  # Tin Woodman met Toto, as above
    assert answer_probability(found[:, 0]) == pytest.approx(math.exp(np.mean(by_hand)), rel=1e-5)


def test_a_prompt_that_leaves_no_room_is_cut_on_the_left_after_its_first_token() -> None:
    tokenizer = KINDS["Llama 3"]
    template = read_template(tokenizer, READING)
    whole, cut = (
        answer_sequence(tokenizer, template.prompt(TIN), TIN.answer, context, template.gap) for context in (128, 9)
    )
    assert (whole[1], cut[1]) == (False, True)
    assert cut[0].ids == (tokenizer.bos_token_id, *whole[0].ids[-8:])
    assert cut[0].ids[cut[0].start :] == whole[0].ids[whole[0].start :]


def test_prompts_of_questions_are_conversations_and_those_of_prose_are_text() -> None:
    tokenizer = KINDS["Llama 2"]
    prose = Document(
        source="a",
        text="the boy and a girl walked to the mill in the old town today and met Dorothy in Oz and Toto " * 4,
    )
    made = make_prompts(
        "retain_test", [prose, TIN], read_template(tokenizer, READING), None, ProbingConfig(prompt_words=4)
    )
    assert {prompt.kind: prompt.gap for prompt in made} == {"cloze": None, "question": " "}
    assert next(prompt.prompt for prompt in made if prompt.kind == "question") == "<s>[INST] Who met Toto? [/INST]"
