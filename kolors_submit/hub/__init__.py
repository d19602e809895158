"""The two hubs that an entry is published to and fetched from, each through its own client, behind one shape.

`open_hub` gives a repository on a hub. Its errors are ours: InputError where the token or the name is wrong,
OutsideError where the network or the hub fails. Nothing here imports torch.
"""

from __future__ import annotations

from kolors_submit.errors import InputError
from kolors_submit.hub.errors import TITLES
from kolors_submit.hub.repository import Listed, Repository, name_problems

HUBS = ("modelscope", "huggingface")

__all__ = ["HUBS", "Listed", "Repository", "list_files", "name_problems", "open_hub"]


def open_hub(hub: str, name: str, revision: str | None = None) -> Repository:
    """A repository `owner/Name` on `modelscope` or `huggingface`, at a branch, tag or commit; sends nothing yet."""
    if hub == "huggingface":
        from kolors_submit.hub.huggingface import HuggingFace

        return HuggingFace(name, revision or "main")
    from kolors_submit.hub.modelscope import ModelScope

    return ModelScope(name, revision or "master")


def list_files(repository: Repository, revision: str | None) -> list[Listed]:
    """Every file of a repository that has to be there; raises InputError where it, or the revision, is not."""
    listed = repository.files()
    if listed is None:
        at = f" at {revision}" if revision else ""
        raise InputError(
            f"{TITLES[repository.hub]} has no {repository.name}{at} that you may see; check the name"
            f"{' and the revision' if revision else ', or log in if it is private'}"
        )
    return listed
