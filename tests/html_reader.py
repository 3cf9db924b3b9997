"""Reads HTML as strictly as a test wants it."""

from html.parser import HTMLParser

VOID = ("img", "meta", "link", "input")


class Reader(HTMLParser):
    """Checks that tags close as they open; keeps tags, attributes, scripts, and the text that a person sees."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes, self.text, self.scripts = [], [], [], "", []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text += data
