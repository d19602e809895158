"""Reproducing: somebody's bundle is fetched, verified, rendered again here and compared panel by panel.

    source    a folder, a zip file or a hub's repository as a folder of verified files
    pictures  how much two pictures differ: pixels, SSIM, perceptual hash
    verdict   what counts as identical, equivalent or different
    entry     the whole: render again with the entry's own LoRA, prompts, seeds and settings, compare, report

Everything in an entry is a stranger's: nothing in it is run or believed.
"""

from kolors_submit.reproduce.entry import Request, reproduce

__all__ = ["Request", "reproduce"]
