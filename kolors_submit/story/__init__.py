"""The story file: what it may say (`model`), how it is read (`load`), how prompts are put together (`prompts`)."""

from kolors_submit.story.blanks import EXAMPLE_TEAMS, refuse_unfilled
from kolors_submit.story.captioners import Captioner, JuicerCaptions, TaggerCaptions, VisionCaptions
from kolors_submit.story.document import Document, Problem, StoryError, read_document
from kolors_submit.story.load import load_story, oversized, replaced_source, resolve, validate
from kolors_submit.story.model import (
    Dataset,
    Filters,
    Gate,
    Language,
    Panel,
    Render,
    Story,
    Style,
    Submission,
    Train,
)
from kolors_submit.story.prompts import MAX_TOKENS, Prompt, PromptError, panel_prompt, token_count

__all__ = [
    "EXAMPLE_TEAMS",
    "MAX_TOKENS",
    "Captioner",
    "Dataset",
    "Document",
    "Filters",
    "Gate",
    "JuicerCaptions",
    "Language",
    "Panel",
    "Problem",
    "Prompt",
    "PromptError",
    "Render",
    "Story",
    "StoryError",
    "Style",
    "Submission",
    "TaggerCaptions",
    "Train",
    "VisionCaptions",
    "load_story",
    "oversized",
    "panel_prompt",
    "read_document",
    "refuse_unfilled",
    "replaced_source",
    "resolve",
    "token_count",
    "validate",
]
