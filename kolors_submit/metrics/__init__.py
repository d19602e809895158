"""What is measured on finished pictures.

predictor  the contest's aesthetic score
agreement  how well a picture agrees with its prompt
spread     pictures shared out over the GPUs
pretrained networks of transformers, from a folder
coherence  how well the panels belong together, from tower (what is shown), texture (how it is drawn) and palette
"""
