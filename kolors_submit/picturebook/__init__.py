"""The embedded base: scenes drawn by code, the programs that train a small Kolors on them, and its weights.

scenes     what a picture shows: the vocabulary, the grammar that samples it, the held-out combinations
captions   what a picture is called, in Chinese and English
figures    people and animals as SVG
world      places, props, light and weather as SVG
paint      one scene put together and drawn at any size
styles     the same scene as plain, watercolour, ink, … picture
pretrain   the programs that train the weights under base/
"""
