"""Trying seeds and settings: candidates for each panel, measured, laid out to choose from, and the choice written back.

plan      which candidates: panels x seeds x variants (LoRA checkpoint, strength, steps)
loras     training checkpoints as LoRA files
bench     render what is missing, measure everything, write sheets and page
measure   aesthetic score, prompt agreement, fit of the set
page      one HTML file to look through and choose in
picks     picks.json, the best candidates, and seeds into the story file

It stands above the stages and uses the render stage's own code, so a candidate has the bytes of the later panel.
"""

from kolors_submit.explore.bench import explore, outputs
from kolors_submit.explore.picks import apply, pick_best, read_picks
from kolors_submit.explore.plan import Grid

__all__ = ["Grid", "apply", "explore", "outputs", "pick_best", "read_picks"]
