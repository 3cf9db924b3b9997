"""Finds text that speaks of what the generator was shown, which the reader of a training example does not see.

`The passage also mentions …`, `Note 3 says …`, `the provided text`. The patterns leave alone what only has such a word
in it: bank notes, musical notes, a passage of a river, the text of a treaty.
"""

import re

_NOUN = r"(?:texts?|passages?|documents?|excerpts?|extracts?|articles?|paragraphs?)"
_MATERIAL = rf"(?:{_NOUN}|notes?|information|context|summary|summaries|material)"
_SAYS = (
    r"(?:says?|states?|mentions?|describes?|discuss(?:es)?|explains?|explores?|provides?|highlights?|contains?|"
    r"concludes?|omits?|suggests?|indicates?|emphasi[sz]es?|focus(?:es)?|presents?|shows?|outlines?|details?|covers?|"
    r"tells?|gives?|reveals?|implies|imply|argues?|refers?|lists?|reports?|offers?|notes?|points? out|goes? on|"
    r"begins?|ends?|introduces?|illustrates?|compares?|continues?|(?:is|are) about|"
    r"(?:does|do) not (?:say|mention|state|contain|tell|give|provide|include|specify|describe|explain))"
)
_ADVERB = r"(?:(?:\w+ly|also|then|further|next)\s+)?"
_THE = r"\b(?:the|this|these|those|that|your)\s+"
_OWNER = r"(?!\s+(?:of|by|on|from|for|in|between|that|which|to|with)\b)"
"""What follows names whose text it is, so that it is a subject of its own."""
_SPEAKS_OF_SOURCES = re.compile(
    "|".join(
        [
            # Lower case alone: a Northwest Passage has a capital.
            rf"{_THE}(?:\w+\s+)?(?-i:{_NOUN})\s+{_ADVERB}{_SAYS}\b",
            r"\b(?:this|these)\s+(?:text|excerpt|extract|paragraph|article)s?\s+(?:is|are|was|were)\b",
            r"\b(?:the|this|these)\s+excerpts?\b|\bexcerpts?\s+from\b",
            rf"{_THE}(?:(?:provided|given|above|selected|chosen)\s+)?notes\s+{_ADVERB}"
            r"(?:say|state|mention|describe|discuss|explain|suggest|indicate|emphasi[sz]e|conclude|point out|"
            r"do not (?:say|mention|state|contain|tell|give|provide|include|specify))\b",
            rf"\bnotes?\s+(?:no\.\s*|number\s+)?\d+(?:\s*(?:,|and|to)\s*(?:note\s+)?\d+)*\s+{_ADVERB}{_SAYS}\b",
            r"[\[(]\s*(?:see\s+)?notes?\s+\d+",
            r"\b(?:according to|based on|in|from|per|see|by)\s+notes?\s+\d+\b(?!\s+of\b)",
            r"^\W*notes?\s+\d+\s*[:.)]",
            rf"{_THE}(?:\w+\s+)?(?:provided|given|supplied|aforementioned|above|following)\s+{_MATERIAL}\b{_OWNER}",
            rf"\b{_MATERIAL}\s+(?:provided|supplied|given|above)\b(?!\s+(?:by|for|to|with|in|at|of)\b)",
            r"\b(?:according to|based on|(?:as )?(?:stated|mentioned|described|noted|shown|explained|discussed) in)\s+"
            rf"(?:the|this|these|those)\s+(?:{_NOUN}|notes)\b{_OWNER}",
            r"\b(?:in|from|throughout)\s+(?:the|this|these)\s+(?:passages?|excerpts?|extracts?|texts?|paragraphs?)"
            r"\s*(?:[,.;:]|$)",
            r"\boriginal\s+(?:text|passage|excerpt|paragraph|message)\b(?!\s+(?:of|is|was|by)\b)",
            r"\b(?:the|this|your)\s+(?:instructions?|prompt)\s+(?:asks?|says?|requires?|requests?)\b",
            r"(?:^\W*|(?<=[.!?]\s))(?:instructions?|notes?|question|task|request|response)\s*:",
        ]
    ),
    re.IGNORECASE | re.MULTILINE,
)
_SPEAKS_OF_AUTHOR = re.compile(r"\b[Tt]he (?:author|writer|narrator|speaker)\b(?!\s+(?:of\b|and\b|[A-Z]))")


def find_meta_text(text: str) -> str | None:
    """The first words that speak of notes, passages or instructions that the reader does not see, if there are any."""
    found = _SPEAKS_OF_SOURCES.search(text)
    return " ".join(found.group().split()) if found else None


def names_no_author(text: str) -> bool:
    """Whether a text speaks of an author, a writer or a speaker without saying whose."""
    return _SPEAKS_OF_AUTHOR.search(text) is not None
