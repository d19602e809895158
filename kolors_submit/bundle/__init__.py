"""The bundle: the folder that is published, judged and reproduced.

`layout` names its files and their limits, `manifest` and `archive` keep it whole, `contents`, `card` and `page` write
what is in it, `pack` is the stage that puts it together, and `check` holds it to every rule. Nothing here imports
torch; whatever is read may be a stranger's.
"""
