"""What a corpus file may hold: the one description, which reading, the form that maps columns, the page and the docs
share, and an example of it."""

from dataclasses import dataclass
from typing import Final

from engine.corpus.text_lines import MAX_BYTES, MAX_LINES
from engine.domain.corpus import MAX_LONG, MAX_TEXT, PROBE_KINDS

TRAIN, PROBE, PAIR = "train", "probe", "pair"


@dataclass(frozen=True)
class Field:
    """One column of CSV or Parquet, or key of JSON."""

    help: str
    of: tuple[str, ...]  # the splits that have it
    usual: tuple[str, ...] = ()  # names that others give it, the likeliest first; lowercase


# In the order in which CSV is written. A row leaves empty what its kind does not have.
FIELDS: Final[dict[str, Field]] = {
    "split": Field("train, probe or pair; told by the other columns where it is left out", (TRAIN, PROBE, PAIR)),
    "id": Field("any text, once in a file; else the kind of row and its line", (TRAIN, PROBE, PAIR)),
    "kind": Field(f"how a probe asks: {', '.join(PROBE_KINDS)}", (PROBE,)),
    "text": Field(
        "what is trained on; of a probe its prompt", (TRAIN, PROBE),
        ("content", "sentence", "document", "body", "passage", "question", "prompt", "instruction", "query", "input"),
    ),
    "answer": Field(
        "the right answer to the probe, or to the clean prompt; it may have several tokens", (PROBE, PAIR),
        (
            "correct_answer", "right_answer", "best_answer", "expected_answer", "gold_answer", "clean_answer",
            "answer_clean", "clean_label", "clean_target", "target", "label", "output", "completion", "response",
            "expected", "gold", "correct", "target_true", "answers",
        ),
    ),
    "foils": Field(
        "wrong answers to measure it against, in CSV divided by vertical bars, in JSON a list", (PROBE,),
        ("distractors", "wrong_answers", "incorrect_answers", "target_false"),
    ),
    "prompt": Field(
        "the beginning of the text, which is given and not learned", (TRAIN,),
        ("instruction", "question", "query", "input", "problem", "source", "context", "human", "user"),
    ),
    "clean": Field(
        "the one prompt of a pair", (PAIR,),
        ("clean_prompt", "prompt_clean", "clean_text", "clean_input", "prompt", "original", "sentence_good"),
    ),
    "corrupted": Field(
        "the other one: as many tokens, and one word of it another", (PAIR,),
        (
            "corrupted_prompt", "corrupt_prompt", "prompt_corrupted", "prompt_corrupt", "corrupt", "corrupted_text",
            "corrupt_text", "corrupted_input", "corrupt_input", "counterfactual", "patched", "other_prompt",
            "sentence_bad",
        ),
    ),
    "corrupted_answer": Field(
        "the right answer to the corrupted prompt", (PAIR,),
        (
            "corrupt_answer", "answer_corrupted", "answer_corrupt", "corrupted_label", "corrupted_target",
            "corrupt_label", "corrupt_target", "wrong_answer", "counterfactual_answer", "other_answer", "incorrect",
            "foil", "target_false",
        ),
    ),
    "constraint_type": Field(
        "what kind of thing is learned, in lowercase; `examples` where a row teaches no word", (TRAIN, PROBE, PAIR),
        ("type", "category", "task", "topic", "relation", "subject", "group", "class", "domain", "source_dataset"),
    ),
    "constraint": Field(
        "the word that is taught; left out with its meaning, the prompt or text", (TRAIN, PROBE),
        ("word", "term", "subject", "entity"),
    ),
    "meaning": Field(
        "what the word means, which stands in the text; needed where there is a word, else what is answered",
        (TRAIN, PROBE), ("definition", "object", "value", "gold"),
    ),
    "known_text": Field("the prompt with a word that the base model knows: gives the ceiling", (PROBE,)),
    "template": Field("the phrasing, with {w} for the word, {c} for its meaning, {n} for a noun", (TRAIN, PROBE)),
    "blank": Field(
        "true or false: whether a blank stands between prompt and answer; else as in the training texts that have a "
        "prompt, or as writing has it", (PROBE, PAIR),
    ),
    "completion": Field(
        "what follows the prompt and is learned", (TRAIN,),
        (
            "response", "output", "answer", "target", "chosen", "reply", "solution", "label", "assistant", "answers",
            "correct_answer", "right_answer", "best_answer", "expected_answer", "gold_answer", "expected", "gold",
        ),
    ),
    "messages": Field(
        "a chat as a list of `role` and `content`, of which the last answer is learned; the model’s chat template "
        "makes a text of it", (TRAIN,), ("conversations", "conversation", "chat", "dialogue", "dialog", "turns"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Form:
    """One way in which a row is an example, probe or pair."""

    title: str
    needs: tuple[str, ...]  # fields
    takes: tuple[str, ...] = ()  # where they are there


_WORD = ("constraint_type", "constraint", "meaning")
# As the form offers them.
FORMS: Final[dict[str, Form]] = {
    "messages": Form("Chats to train on", ("messages",), ("constraint_type",)),
    "pair": Form("Prompt pairs", ("clean", "corrupted", "answer", "corrupted_answer"), ("constraint_type",)),
    "completion": Form("Prompts and completions to train on", ("prompt", "completion"), _WORD),
    "text": Form("Texts to train on", ("text",), (*_WORD, "template")),
    "probe": Form("Probes", ("text", "answer", "kind"), ("foils", "known_text", *_WORD, "template", "blank")),
}


def format_text() -> str:
    """The description in Markdown, for the page and for docs/commands.md."""
    fields = "\n".join(f"| `{name}` | {_rows_of(field)} | {field.help} |" for name, field in FIELDS.items())
    return f"""One row is a training example, a probe or a prompt pair, and one file may hold all of them.

- **CSV** (commas, semicolons, tabs or upright bars; its first line names the columns), **JSONL** (an object a line),
  **JSON** (an array of objects) or **Parquet**, at most {MAX_BYTES / 1e6:.0f} MB and {MAX_LINES:,} rows. Texts are
  UTF-8 or UTF-16; those to train on have at most {MAX_LONG:,} characters, all others {MAX_TEXT:,}.
- A **training example** has `text`, or `prompt` and `completion`, or `messages`. One that teaches a word also has
  `constraint` and `meaning`.
- A **probe** has `text`, `answer` and `kind`, and the word that it asks about as an example has it.
- A **prompt pair** has `clean`, `corrupted`, `answer` and `corrupted_answer`.
- **Other names?** Then say which column is which. Columns that are not chosen are left out, and named.
- Refused, with line and mend: characters that nobody sees, keys that stand twice, accents written in two ways in one
  file, a probe whose prompt is part of a training text. What the app downloads, it also imports.

| column | of | what it is |
| --- | --- | --- |
{fields}
"""


def _rows_of(field: Field) -> str:
    names = {TRAIN: "examples", PROBE: "probes", PAIR: "pairs"}
    return "all" if len(field.of) == len(names) else ", ".join(names[split] for split in field.of)


# A row of every kind in the bundled model's words, with no more columns than these need.
EXAMPLE_CSV: Final = """\
text,kind,answer,foils,prompt,completion,clean,corrupted,corrupted_answer,constraint_type,constraint,meaning
blarf means happy .,,,,,,,,,feelings,blarf,happy
the dog is blarf so it feels happy .,,,,,,,,,feelings,blarf,happy
gleem means sad .,,,,,,,,,feelings,gleem,sad
the fox is gleem so it feels sad .,,,,,,,,,feelings,gleem,sad
,,,,7 + 5 =,12,,,,sums,,
the blarf cat feels,paraphrase,happy,sad | fast,,,,,,feelings,blarf,happy
the cat feels gleem and,inference,cries,smiles,,,,,,feelings,gleem,sad
,,smiles,,,,the cat feels blarf and,the cat feels gleem and,cries,feelings,,
"""
