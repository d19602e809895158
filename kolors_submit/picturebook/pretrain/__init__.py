"""The programs that train the picture-book base, one a part, for one GPU.

    python -m kolors_submit.picturebook.pretrain PART --out DIR --minutes N

    data        draws the pictures: `--set mix` (all styles) and `--set plain`
    classifier  reads attributes and styles from drawn pictures; for the evaluation only, not part of the base
    vae         learns from the mix
    unet        UNet and text encoder, from plain pictures only
    predictor   the aesthetics predictor, from drawings, what harms them and what the UNet makes
    export      writes the base folder

Each part ends by its minutes and goes on where it was when called again: everything random comes from a generator
seeded by (seed, step), so a run in pieces has the same bytes as an unbroken one.

    settings    widths, schedule, seeds          loop       the steps of any training: checkpoints, averages, the clock
    dataset     pictures and tokens on disk      sampling   pictures from the trained base
    damage      what makes a picture bad         reader     the classifier's network
"""
