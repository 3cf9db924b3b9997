from app.html import (
    Cell,
    Html,
    bytes_cell,
    details,
    element,
    money_cell,
    pairs,
    picture,
    seconds_cell,
    table,
)

NASTY = """<b title="x">&'</b>"""
ESCAPED = "&lt;b title=&quot;x&quot;&gt;&amp;&#x27;&lt;/b&gt;"


def test_text_is_escaped_and_html_is_not():
    assert element("p", NASTY) == f"<p>{ESCAPED}</p>"
    assert element("p", Html("<i>x</i>"), " ", 12_345, " ", 0.5, None) == "<p><i>x</i> 12,345 0.5</p>"
    assert (
        element("a", "x", href=NASTY, class_="y", data_value=None) == f'<a href="{ESCAPED}" class="y">x</a>'
    )


def test_whatever_comes_from_data_is_text_everywhere():
    made = [
        table(NASTY, [NASTY], [NASTY], [[NASTY, NASTY]], [NASTY, Cell(NASTY, 1.0)]),
        pairs([(NASTY, NASTY)]),
        details(NASTY, NASTY),
        picture(b"png", NASTY),
    ]
    assert [NASTY in text for text in made] == [False] * 4
    assert [text.count(ESCAPED) for text in made] == [8, 2, 2, 1]


def test_numbers_carry_what_they_are_sorted_by():
    rows = [["a", seconds_cell(90.0), bytes_cell(1_500_000)]]
    text = table("c", ["step"], ["time", "size"], rows, ["all", None, 3])
    assert '<th scope="row">a</th><td class="number" data-value="90.0">1m 30s</td>' in text
    assert '<td class="number" data-value="1500000">1.5 MB</td>' in text
    assert (
        '<tr><th scope="row">all</th><td class="number"></td><td class="number">3</td></tr></tfoot>' in text
    )
    assert text.count('<th scope="col"') == 3


def test_what_is_not_known_is_empty():
    assert [seconds_cell(None), bytes_cell(None), bytes_cell(0), money_cell(None)] == [None] * 4
    assert money_cell(0.0) == Cell("0.00", 0.0)
    assert pairs([("name", None), ("other", "")]) == '<dl class="pairs"></dl>'


def test_rows_that_explain_another_share_its_body():
    rows = [["a", 1], ["range of a", 2], ["b", 3]]
    text = table("c", ["model"], ["score"], rows, bold={0}, explaining={1})
    first, second = text.split("</tbody>")[:2]
    assert first.count("<tr class=") == 2
    assert '<tr class="main"><th scope="row">a</th>' in first
    assert '<tr class="more"><th scope="row">range of a</th>' in first
    assert second.count("<tr>") == 1
    assert table("c", ["model"], ["score"], rows).count("<tbody>") == 1
