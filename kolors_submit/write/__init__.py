"""A story file from an idea: a chat model writes the words, the story's own rules judge them, a template lays them out.

order         what is asked for: idea, scenes, style, number of panels
instructions  what the model is told
draft         the model's answer as values, and everything that is wrong with it
layout        the YAML, with the comments and the order of the stories in stories/
author        ask, judge, show the problems, ask again
"""

from kolors_submit.write.author import write_story
from kolors_submit.write.layout import story_text, template_values
from kolors_submit.write.order import Order, make_order

__all__ = ["Order", "make_order", "story_text", "template_values", "write_story"]
