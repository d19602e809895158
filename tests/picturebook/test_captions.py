"""Captions: they say what the picture shows, in many ways, within the tokens there are."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from kolors_submit.picturebook.captions import caption
from kolors_submit.picturebook.grammar import sample
from kolors_submit.picturebook.lexicon import EN, ZH, Language
from kolors_submit.picturebook.scenes import Person, Scene

PAINTER = Person("girl", "red", "long", "dress", "blue", "beret", "painting")
LAKE = Scene((PAINTER,), "lake", "noon", prop="easel", view="full")


def named(text: str, lexicon: dict, attribute: str, value: str) -> bool:
    return any(word.lower() in text.lower() for word in lexicon[attribute][value])


@pytest.mark.parametrize(("language", "lexicon"), [("zh", ZH), ("en", EN)])
def test_a_complete_caption_names_everything(language: Language, lexicon: dict) -> None:
    for seed in range(400):
        rng = Random(seed)
        scene = sample(rng)
        text = caption(scene, rng, language, complete=True)
        for person in scene.people:
            for attribute in ("kind", "hair_colour", "clothes_colour", "garment"):
                assert named(text, lexicon, attribute, getattr(person, attribute)), (attribute, text)
            if person.hat != "none":
                assert named(text, lexicon, "hat", person.hat), text
        for attribute in ("place", "time", "view"):
            assert named(text, lexicon, attribute, getattr(scene, attribute)), (attribute, text)
        if scene.weather != "clear":
            assert named(text, lexicon, "weather", scene.weather), text
        if scene.animal != "none" and scene.people[0].pose != "riding":
            assert named(text, lexicon, "animal", scene.animal), text


@pytest.mark.parametrize(("language", "lexicon"), [("zh", ZH), ("en", EN)])
def test_the_looks_of_people_are_seldom_left_out(language: Language, lexicon: dict) -> None:
    texts = [caption(LAKE, Random(seed), language) for seed in range(1500)]
    for attribute, value in (("hair_colour", "red"), ("clothes_colour", "blue"), ("place", "lake")):
        share = sum(named(text, lexicon, attribute, value) for text in texts) / len(texts)
        assert 0.93 < share < 1.0, attribute
    assert len(set(texts)) > 1400
    lengths = sorted(map(len, texts))
    assert lengths[-50] > 1.5 * lengths[50]


def test_the_words_are_those_that_stories_use() -> None:
    texts = [caption(LAKE, Random(seed), "zh") for seed in range(3000)]
    for words in ("红色长发", "身穿蓝色连衣裙", "头戴贝雷帽的女孩", "坐在湖边画画", "旁边有画架", "中午", "全身像"):
        assert any(words in text for text in texts), words
    texts = [caption(LAKE, Random(seed), "en") for seed in range(3000)]
    for words in ("girl with long red hair", "in a light blue dress", "red-haired girl", "painting by the lake"):
        assert any(words in text for text in texts), words


def test_two_people_keep_their_own_looks() -> None:
    boy = Person("boy", "black", "short", "shirt", "green", pose="talking")
    scene = Scene((replace(PAINTER, pose="talking"), boy), "town")
    for seed in range(200):
        text = caption(scene, Random(seed), "zh", complete=True)
        girl = min(text.index(word) for word in ("红", "火红色") if word in text)
        other = min(text.index(word) for word in ("黑", "乌黑") if word in text)
        assert girl < other, text  # the first person's hair is said before the second's


def test_articles_fit() -> None:
    for seed in range(500):
        text = caption(sample(Random(seed)), Random(seed), "en").lower()
        for wrong in (" a orange", " a easel", " a elderly", " a open", " an blue", " an girl"):
            assert wrong not in text, text


def test_captions_fit_into_the_tokens_on_disk() -> None:
    from kolors_submit.picturebook.pretrain.settings import WORDS
    from kolors_submit.picturebook.pretrain.text import tokenizer

    tokens = tokenizer()
    texts = [caption(sample(Random(i)), Random(i), "zh" if i % 2 else "en", complete=True) for i in range(600)]
    assert max(len(tokens(text)["input_ids"]) for text in texts) <= WORDS - 6
