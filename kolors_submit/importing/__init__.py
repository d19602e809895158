"""Importing: somebody's entry that this program did not make becomes a bundle that `check` and `reproduce` understand.

    source    a folder, a zip file or a hub's repository as a folder of plain files of the kinds read here
    told      what one place of an entry says about a picture, and what had to be guessed
    labels    the words that entries put before a prompt, a seed or a setting, in Chinese and English
    tables    prompt tables: csv and Markdown
    readme    prompts and settings in a README's text, and in the contest's notebook code
    workflow  ComfyUI workflows, in files and inside PNGs
    pictures  which pictures are the panels, and which prompt belongs to which
    settle    one story from all of this: what wins where places disagree, and what is guessed
    lora      the LoRA in any of three key formats, written in all of them
    entry     the whole

Everything in an entry is a stranger's. Nothing is invented: what nobody says is listed, and what is not known about
training has no file in the bundle.
"""

from kolors_submit.importing.entry import Request, import_entry

__all__ = ["Request", "import_entry"]
