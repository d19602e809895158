"""Importing: somebody's entry that this program did not make becomes a bundle that `check` and `reproduce` understand.

    source    a folder, a zip file or a hub's repository as a folder of plain files of the kinds read here
    told      what one place of an entry says about a picture; how a stranger's words are read
    labels    the words that entries put before a prompt, a seed or a setting, in Chinese and English
    tables    prompt tables: csv and Markdown
    readme    prompts and settings in a README's text, and in the contest's notebook code
    workflow  ComfyUI workflows in both their forms
    pictures  which pictures are the panels, their own workflows, and which row belongs to which
    evidence  all that the entry's files say of its panels
    settle    one story from it: what wins where places disagree, and what is guessed
    lora      which LoRA it is, at which strength, and all three formats of it
    writing   the bundle
    entry     the whole

Everything in an entry is a stranger's. Nothing is invented: what nobody says is listed, and what is not known about
training has no file in the bundle.
"""

from kolors_submit.importing.entry import Request, import_entry

__all__ = ["Request", "import_entry"]
