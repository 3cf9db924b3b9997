import yaml

from app.markdown import escaped, front_matter, table, yaml_block


def test_columns_stand_under_one_another():
    text = table(["step", "reason"], ["seeds"], [["filters", "refusal", 1234], ["all", "", "7"]], bold={1})
    assert text.splitlines() == [
        "| step    | reason  | seeds |",
        "|---------|---------|------:|",
        "| filters | refusal | 1,234 |",
        "| **all** |         | **7** |",
    ]


def test_front_matter_and_blocks_are_yaml_in_the_given_order():
    values = {"b": "größe", "a": [1, None]}
    assert front_matter(values) == "---\nb: größe\na:\n- 1\n- null\n---"
    block = yaml_block(values)
    assert block.startswith("```yaml\n")
    assert yaml.safe_load(block.removeprefix("```yaml").removesuffix("```")) == values


def test_names_are_text():
    assert escaped("a|b\n<c> *d* `e` [f] \\") == "a\\|b \\<c> \\*d\\* \\`e\\` \\[f\\] \\\\"
