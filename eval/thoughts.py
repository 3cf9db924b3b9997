"""Tells what a reasoning model thought from what it answered."""

OPENED, CLOSED = "<think>", "</think>"


def split_thought(text: str) -> tuple[str, str]:
    """Thought and answer of a reply whose text holds both; a reply without thought is returned unchanged.

    Chat templates may open the thought themselves, so that a reply has only its end. A thought that never ends is all
    that the reply holds.
    """
    thought, closed, answer = text.rpartition(CLOSED)
    if closed:
        return thought.replace(OPENED, "", 1).strip(), answer
    if text.lstrip().startswith(OPENED):
        return text.replace(OPENED, "", 1).strip(), ""
    return "", text
