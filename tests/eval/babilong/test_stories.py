import random
import re

import pytest

from eval.babilong.scores import names_the_place
from eval.babilong.stories import PEOPLE, PLACES, draw_story

WALK = re.compile(r"(\w+) (?:went to|moved to|travelled to|journeyed to|went back to) the (\w+)\.")
DROP = re.compile(r"(\w+) (?:dropped|left|put down|discarded) the (\w+) there\.")
TAKE = re.compile(r"(\w+) (?:picked up|got|grabbed|took) the (\w+) there\.")


def told(sentences):
    """Where people are, and the ways of the things, as a reader follows them."""
    people, carriers, ways = {}, {}, {}
    for sentence in sentences:
        if found := WALK.fullmatch(sentence):
            person, place = found.groups()
            assert people.get(person) != place
            people[person] = place
            for thing in [thing for thing, carrier in carriers.items() if carrier == person]:
                ways[thing].append(place)
        elif found := DROP.fullmatch(sentence):
            person, thing = found.groups()
            assert carriers.pop(thing) == person
        else:
            person, thing = TAKE.fullmatch(sentence).groups()
            assert thing not in carriers
            assert ways.setdefault(thing, [people[person]])[-1] == people[person]
            carriers[thing] = person
    return people, ways


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_the_answer_follows_from_the_sentences(hops):
    for seed in range(50):
        story = draw_story(random.Random(seed), hops, 30)
        assert len(story.sentences) == 30
        people, ways = told(story.sentences)
        if hops == 1:
            name = re.fullmatch(r"Where is (\w+)\?", story.question)[1]
            assert name in PEOPLE
            assert people[name] == story.answer
        elif hops == 2:
            assert ways[re.fullmatch(r"Where is the (\w+)\?", story.question)[1]][-1] == story.answer
        else:
            thing, last = re.fullmatch(r"Where was the (\w+) before the (\w+)\?", story.question).groups()
            assert ways[thing][-2:] == [story.answer, last]
        assert story.answer in PLACES


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("The apple is in the kitchen.", 1.0),
        (" Kitchen", 1.0),
        ("Before the office the apple was in the kitchen. Or the garden.", 1.0),
        ("The kitchen or the garden.", 0.0),
        ("The office.", 0.0),
        ("", 0.0),
    ],
)
def test_the_first_sentence_must_name_the_right_place_alone(reply, score):
    assert names_the_place(reply, "kitchen", "Where was the apple before the Office?") == score
