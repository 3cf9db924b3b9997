"""What a RULER prompt is made of, read off its text: the same for our samples and the reference generator's."""

import re
from collections import Counter

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
FORMS = {
    "number": r"[1-9]\d{6}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "word": r".*[a-z].*-.+",
    "name": r"[A-Z]{5}",
    "coded": r"[a-z]{6}",
}
NEEDLE = re.compile(r"One of the special magic (numbers|uuids) for (.+?) is: ([0-9a-f-]+)\.")


def form_of(text):
    """Which of the known forms a key, a value or a reference has."""
    return next((name for name, form in FORMS.items() if re.fullmatch(form, text)), "text")


def describe(task, text, references):
    """Figures and template of one prompt, answer prefix included."""
    family = task.split("_")[0]
    found = {"niah": _needles, "vt": _variables, "cwe": _common, "fwe": _frequent, "qa": _questions}[family](
        text, references
    )
    return {"num_references": len(references), **found}


def _split(text, head_end, tail_start):
    head_stop = text.index(head_end) + len(head_end)
    tail_begin = text.rindex(tail_start)
    return text[:head_stop], text[head_stop:tail_begin], text[tail_begin:]


def _needles(text, references):
    head, context, tail = _split(text, " afterwards.\n", "\nWhat ")
    query = re.search(r"for (.+?) mentioned in", tail)[1]
    asked = re.split(r", and |, ", query)
    needles = [match.groups() for match in NEEDLE.finditer(context)]
    lines = context.split("\n")
    hidden = [(key, value) for _, key, value in needles if key in asked]
    values = {key: [value for found, value in hidden if found == key] for key in asked}
    is_lines = len(lines) > 1
    units = lines if is_lines else context.split()
    starts = [match.start() for match in NEEDLE.finditer(context) if match[3] in references]
    return {
        "skeleton": f"{head}|{tail.replace(query, '{query}')}",
        "num_asked": len(asked),
        "num_needles": len(needles) if not is_lines or lines.count(NOISE) else 1,
        "num_lines": len(lines),
        "num_units": len(units)
        - (1 if is_lines else sum(len(match[0].split()) for match in NEEDLE.finditer(context))),
        "num_noise_lines": lines.count(NOISE),
        "num_needle_lines": sum(bool(NEEDLE.fullmatch(line)) for line in lines),
        "key_forms": sorted({form_of(key) for _, key, _ in needles}),
        "value_forms": sorted({form_of(value) for _, _, value in needles}),
        "reference_forms": sorted({form_of(reference) for reference in references}),
        "types": sorted({kind for kind, _, _ in needles}),
        "answers_are_those_asked_for": sorted(value for found in values.values() for value in found)
        == sorted(references),
        "depths": [round(start / len(context), 3) for start in starts],
    }


def _variables(text, references):
    start = "Memorize and track the chain(s)"
    second = text.index(start, 10)
    example, question = text[:second], text[second:]

    def part(text):
        head, context, tail = _split(text, " text.\n\n", "\nQuestion: ")
        value = re.search(r"the value (\d{5}) in", tail)[1]
        lines = context.split("\n")
        chain = [line for line in lines if line != NOISE]
        names = [re.match(r"VAR ([A-Z]+) = ", line)[1] for line in chain]
        is_chain = chain[0] == f"VAR {names[0]} = {value}" and all(
            line == f"VAR {name} = VAR {before} "
            for line, before, name in zip(chain[1:], names, names[1:], strict=False)
        )
        return (
            head,
            tail.replace(value, "{value}"),
            names,
            lines.count(NOISE),
            is_chain,
            lines.index(chain[0]),
        )

    head, tail, names, num_lines, is_chain, first = part(question)
    _, example_tail, example_names, example_lines, example_is_chain, _ = part(example)
    answer = " ".join(example_names)
    return {
        "skeleton": f"{example_tail.replace(answer, '{answer}')}{head}|{tail}",
        "num_units": num_lines,
        "num_example_lines": example_lines,
        "num_variables": len(names),
        "name_letters": sorted({len(name) for name in names}),
        "example_name_letters": sorted({len(name) for name in example_names}),
        "is_chain": is_chain and example_is_chain,
        "answers_are_the_chain": names == references,
        "reference_forms": sorted({form_of(reference) for reference in references}),
        "depths": [round(first / num_lines, 3)],
    }


def _common(text, references):
    start = "Below is a numbered list"
    second = text.index(start, 10)

    def part(text):
        head, context, tail = _split(text, " most often.\n", "\nQuestion: ")
        entries = re.split(r"(?:^| )\d+\. ", context)[1:]
        numbers = re.findall(r"(?:^| )(\d+)\. ", context)
        assert numbers == [str(number) for number in range(1, len(entries) + 1)]
        return head, entries, tail

    _, example, example_tail = part(text[:second])
    head, entries, tail = part(text[second:])
    counts, example_counts = Counter(entries), Counter(example)
    top = {word for word, _ in example_counts.most_common(10)}
    stated = re.split(r" \d+\. ", example_tail.rstrip("\n"))[1:]
    return {
        "skeleton": f"{re.sub(r': 1. .*', ': {answer}', example_tail, flags=re.S)}|{head}|{tail}",
        "num_units": len(counts),
        "repeats": sorted({count for word, count in counts.items() if word not in references}),
        "common_repeats": sorted({counts[word] for word in references}),
        "example_repeats": sorted(Counter(example_counts.values()).items()),
        "example_states_its_common_words": set(stated) == top,
        "num_entries": len(entries),
    }


def _frequent(text, references):
    head, context, tail = _split(text, "coded words. ", "\nQuestion: ")
    counts = Counter(context.split(" "))
    ranked = counts.most_common()
    return {
        "skeleton": f"{head}|{tail}",
        "num_units": sum(counts.values()),
        "vocabulary_size": len(counts),
        "dots_rank": [word for word, _ in ranked].index("..."),
        "answers_are_the_next_three": [word for word, _ in ranked[1:4]] == references,
        "shares": [round(count / sum(counts.values()), 3) for _, count in ranked[:4]],
        "reference_forms": sorted({form_of(reference) for reference in references}),
    }


def _questions(text, references):
    head, context, tail = _split(text, "given documents.\n\n", "\n\nAnswer the question")
    question = re.search(r"Question: (.*) Answer:$", tail, flags=re.S)[1]
    documents = re.split(r"(?:^|\n\n)Document (\d+):\n", context)[1:]
    numbers, bodies = documents[::2], documents[1::2]
    return {
        "skeleton": f"{head}|{tail.replace(question, '{question}')}",
        "question": question,
        "references": references,
        "num_units": len(bodies),
        "numbers_are_in_order": numbers == [str(number) for number in range(1, len(numbers) + 1)],
        "num_distinct": len(set(bodies)),
        "depths": [
            round(index / len(bodies), 3)
            for index, body in enumerate(bodies)
            if any(reference in body for reference in references)
        ][:3],
    }
