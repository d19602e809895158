"""Reproducing: somebody's bundle is fetched, verified, rendered again here and compared panel by panel.

    request   what a judge asks for
    source    a folder, a zip file or a hub's repository, fetched and verified
    bases     the base that the entry was made on, found here or fetched where the judge agrees
    choice    which panels are rendered: all, named ones, or some drawn by lot
    pictures  how much two pictures differ: pixels, SSIM, perceptual hash
    claims    the scores that an entry claims, and those that are measured here
    verdict   what counts as identical, equivalent or different
    panels    the entry's pictures beside those rendered here
    retrain   the LoRA trained again from the rebuilt data
    outcome   reproduction.json, and the same in words
    entry     the whole: render again with the entry's own LoRA, prompts, seeds and settings, compare, report
    batch     a judge's list of entries, on every GPU, each by `judging`; `table` is what comes of it, `page` shows it

Everything in an entry is a stranger's: nothing in it is run or believed.
"""

from kolors_submit.reproduce.batch import Unjudged, reproduce_list
from kolors_submit.reproduce.entry import reproduce
from kolors_submit.reproduce.outcome import NotReproduced
from kolors_submit.reproduce.request import Request

__all__ = ["NotReproduced", "Request", "Unjudged", "reproduce", "reproduce_list"]
