"""The embedded base: scenes drawn by code, the programs that train a small Kolors on them, and its weights.

scenes     what a picture shows: the vocabulary
grammar    samples scenes that make sense; the held-out combinations
captions   what a picture is called, in Chinese and English (wording decides what is said, lexicon has the words)
figures    people and animals as SVG
world      places, props, light and weather as SVG
layout     who and what stands where
paint      one scene put together and drawn at any size
styles     the same scene as plain, watercolour, ink, … picture
samples    captioned pictures of one style, as a training set
pretrain   the programs that train the weights under base/
"""
