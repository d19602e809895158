"""Rules about what a bundle says: prompts, scores, base, training, names, and that its files agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from kolors_submit.base_names import KOLORS
from kolors_submit.bundle import history, layout
from kolors_submit.bundle.contents import CONFIGURATION, prompt_rows
from kolors_submit.bundle.finding import Finding, fail, warn
from kolors_submit.bundle.manifest import is_sha256
from kolors_submit.bundle.opened import Opened, at, figure
from kolors_submit.hub import name_problems
from kolors_submit.hub.source import is_public
from kolors_submit.weights import OFFICIAL_PREDICTOR

CONTEST_THRESHOLD = 6.0
TOLERANCE = 1e-5
CONTEST_NAME = "队伍名称-可图Kolors训练-作品名称"
_CONTEST_NAME = re.compile(r".+[-－—].*可图.*Kolors.*训练.*[-－—].+")


def prompts(bundle: Opened) -> Iterator[Finding]:
    """As many prompts as panels, and those of the story."""
    if bundle.prompts is None or bundle.story is None:
        return
    expected = prompt_rows(bundle.story)
    if len(bundle.prompts) != len(expected):
        yield fail("pairs", f"prompts.csv has {len(bundle.prompts)} prompts for {len(expected)} panels")
    for row, wanted in zip(bundle.prompts, expected, strict=False):
        if row != wanted:
            yield fail("prompts", f"line {wanted.panel} of prompts.csv is not panel {wanted.panel} of story.yaml")


def scores(bundle: Opened) -> Iterator[Finding]:
    """scores.json has a score a panel, its figures follow from them, and the mean passes the gate."""
    if bundle.scores is None:
        return
    values = _panel_scores(bundle.scores)
    mean, minimum, threshold = (figure(bundle.scores.get(key)) for key in ("mean", "minimum", "threshold"))
    if not values or mean is None or minimum is None or threshold is None:
        yield fail("scores", "scores.json lacks the panels' scores, mean, minimum or threshold")
        return
    if abs(mean - fmean(values)) > TOLERANCE:
        yield fail("scores", f"the stated mean is {mean:.4f}, but the panels' scores give {fmean(values):.4f}")
    if abs(minimum - min(values)) > TOLERANCE:
        yield fail("scores", f"the stated minimum is {minimum:.4f}, but the lowest panel has {min(values):.4f}")
    if bundle.scores.get("passed") is not (mean >= threshold):
        yield fail("scores", f"passed is {bundle.scores.get('passed')}, but the mean is {mean:.3f} at {threshold:g}")
    if bundle.story is not None:
        yield from _scores_of_story(bundle.scores, values, threshold, bundle)
    yield from _gate(bundle, min(mean, fmean(values)), threshold)


def _scores_of_story(value: dict[str, Any], values: list[float], threshold: float, bundle: Opened) -> Iterator[Finding]:
    assert bundle.story is not None
    if len(values) != len(bundle.story.panels):
        yield fail("scores", f"scores.json has {len(values)} scores for {len(bundle.story.panels)} panels")
    expected = [(number, f"{number:02d}.png") for number in range(1, len(values) + 1)]
    if [(panel.get("number"), panel.get("file")) for panel in value["panels"]] != expected:
        yield fail("scores", "scores.json does not name the panels 1, 2, 3 … with their files")
    if threshold != bundle.story.gate.threshold:
        yield fail(
            "scores", f"scores.json sets the threshold to {threshold:g}, the story to {bundle.story.gate.threshold:g}"
        )


def _gate(bundle: Opened, mean: float, threshold: float) -> Iterator[Finding]:
    """On Kolors the contest's predictor and threshold count; a demonstration is held to its own."""
    assert bundle.scores is not None
    name, digest = (at(bundle.scores, "predictor", key) for key in ("name", "digest"))
    if not isinstance(name, str) or not is_sha256(digest):
        yield fail("score", "scores.json does not say which predictor scored, by name and digest")
    elif name != OFFICIAL_PREDICTOR:
        level = warn if bundle.is_demonstration else fail
        yield level("score", f"scored by {name}, not by the contest's predictor ({OFFICIAL_PREDICTOR})")
    limit = threshold if bundle.is_demonstration else max(threshold, CONTEST_THRESHOLD)
    if mean < limit:
        yield fail("score", f"the mean score {mean:.3f} by {name} is below {limit:g}; the entry is not valid")
    elif threshold < CONTEST_THRESHOLD:
        yield warn("score", f"the story's own threshold is {threshold:g}; the contest's is {CONTEST_THRESHOLD:g}")


def imported(bundle: Opened) -> Iterator[Finding]:
    """Made by this program's own stages, so that nothing in it had to be guessed."""
    if not bundle.is_imported:
        return
    guessed = (bundle.imported or {}).get("guessed")
    count = len(guessed) if isinstance(guessed, list) else 0
    message = f"made by `import` from an entry of another program: {count} values were guessed ({layout.IMPORT}), and"
    yield warn("imported", f"{message} how it was trained and rendered is not known")
    if layout.SCORES not in bundle.names:
        yield warn("score", "its panels have not been scored; `kolors-submit score --images images` does it")


def base(bundle: Opened) -> Iterator[Finding]:
    """Made on Kolors, trained and rendered on one and the same base."""
    if bundle.train is None:
        return
    trained, digest = bundle.train.get("base"), at(bundle.train, "base", "digest")
    known = is_sha256(digest) or (bundle.is_imported and digest is None)
    if not known or not bundle.base:
        yield fail("base", "train.json does not say on which base it trained, by name and digest")
    elif bundle.environment is not None and trained != at(bundle.environment, "render", "base"):
        yield fail("base", "train.json and environment.json name different bases")
    elif bundle.is_demonstration:
        message = f"its base is {str(bundle.base)[:80]!r}, not {KOLORS}; no contest accepts it"
        yield warn("demonstration", message)


def training(bundle: Opened) -> Iterator[Finding]:
    """train.json was written by a training with the story's settings."""
    if bundle.train is None or bundle.story is None or bundle.is_imported:
        return
    settings, meant = bundle.train.get("settings"), bundle.story.train.model_dump(mode="json")
    if not isinstance(settings, dict):
        yield fail("train", "train.json has no settings")
        return
    lacking = sorted(bundle.story.train.of_the_result().keys() - settings.keys())
    if lacking:
        level = fail if history.is_own(bundle.history) else warn
        yield level("train", f"train.json does not say {', '.join(lacking)}, which story.yaml does")
    for key in sorted(key for key in settings if key not in meant or settings[key] != meant[key]):
        yield fail("train", f"train.json says {key[:80]} {str(settings[key])[:80]}, story.yaml {meant.get(key)}")
    if bundle.train.get("steps") != bundle.story.train.steps:
        yield fail("train", f"train.json says {bundle.train.get('steps')} steps, story.yaml {bundle.story.train.steps}")


def data(bundle: Opened) -> Iterator[Finding]:
    """data.json lists each training picture with SHA-256 and caption."""
    if bundle.data is None:
        return
    pictures = bundle.data.get("pictures")
    if not isinstance(pictures, list) or not pictures:
        yield fail("data", "data.json lists no training picture")
        return
    for number, picture in enumerate(pictures, start=1):
        if not isinstance(picture, dict) or not is_sha256(picture.get("sha256")):
            yield fail("data", f"picture {number} of data.json has no SHA-256")
        elif not isinstance(picture.get("caption"), str):
            yield fail("data", f"picture {number} of data.json has no caption")
    if bundle.story is not None and not is_public(bundle.story.dataset.source):
        yield warn(
            "data", "the training pictures are in a private folder of the entrant's, so nobody else can train it again"
        )


def past(bundle: Opened) -> Iterator[Finding]:
    """history.json tells of the training that train.json and data.json tell of."""
    if bundle.history is None:
        return
    funnel, losses = history.funnel(bundle.history), history.losses(bundle.history)
    kept = at(bundle.data, "pictures")
    if funnel and isinstance(kept, list) and funnel[-1].left != len(kept):
        yield fail("history", f"history.json says {funnel[-1].left} pictures were left, data.json lists {len(kept)}")
    last = max((step for step, _ in losses), default=0)
    if bundle.story is not None and last > bundle.story.train.steps:
        yield fail("history", f"history.json has a loss of step {last}, story.yaml {bundle.story.train.steps} steps")


def configuration(bundle: Opened) -> Iterator[Finding]:
    """configuration.json tells ModelScope what the model is for."""
    for key, value in CONFIGURATION.items():
        if bundle.configuration is not None and bundle.configuration.get(key) != value:
            yield fail("configuration", f"configuration.json needs {key}: {value}")


def environment(bundle: Opened) -> Iterator[Finding]:
    """environment.json names the packages and how the panels were rendered."""
    if bundle.environment is None:
        return
    render = bundle.environment.get("render")
    if not isinstance(render, dict) or not isinstance(render.get("compute"), dict):
        yield fail("environment", "environment.json does not say how the panels were rendered")
    if not isinstance(bundle.environment.get("packages"), dict) or not bundle.environment["packages"]:
        yield fail("environment", "environment.json names no packages")


def names(bundle: Opened) -> Iterator[Finding]:
    """The hub's id is ASCII, the contest's Chinese name is the display name, a team is named."""
    if bundle.story is None:
        return
    submission = bundle.story.submission
    for problem in name_problems(submission.repository) if submission.repository is not None else ():
        yield fail("name", f"submission.repository: {problem}")
    if not bundle.is_demonstration and not is_contest_name(submission.display_name or ""):
        yield warn("name", f"the contest asks for a name like {CONTEST_NAME}; set submission.display_name")
    if not bundle.is_demonstration and not bundle.story.team:
        yield warn("name", "the story names no team")


def is_contest_name(name: str) -> bool:
    """Whether a display name is as the contest wants it."""
    return _CONTEST_NAME.fullmatch(name) is not None


def _panel_scores(value: dict[str, Any]) -> list[float]:
    """The panels' scores; empty where one is none."""
    panels = value.get("panels")
    if not isinstance(panels, list) or not all(isinstance(panel, dict) for panel in panels):
        return []
    scores = [figure(panel.get("score")) for panel in panels]
    return [score for score in scores if score is not None] if None not in scores else []
