"""The two hubs that weights, data sets and entries come from and entries are published to, behind one shape.

    known        what they are called, where they are, how a token is found
    repository   what is asked of a model repository, and how one may be called
    modelscope, huggingface     the two, each through its own client
    errors       the clients' exceptions as ours: InputError for token, right or name, OutsideError for network or hub
    guard        a token goes to its own hub only
    source       what people write for a repository, a folder or a zip file, and the fetching of a repository's files

Nothing here imports torch.
"""

from __future__ import annotations

from kolors_submit.errors import InputError
from kolors_submit.hub.errors import not_found
from kolors_submit.hub.known import HUBS, KNOWN
from kolors_submit.hub.repository import Listed, Repository, name_problems

__all__ = ["HUBS", "Listed", "Repository", "list_files", "name_problems", "open_hub"]


def open_hub(hub: str, name: str, revision: str | None = None) -> Repository:
    """A repository `owner/Name` on `modelscope` or `huggingface`, at a branch, tag or commit; sends nothing yet."""
    at = revision or KNOWN[hub].branch
    if hub == "huggingface":
        from kolors_submit.hub.huggingface import HuggingFace

        return HuggingFace(name, at)
    from kolors_submit.hub.modelscope import ModelScope

    return ModelScope(name, at)


def list_files(repository: Repository, revision: str | None) -> list[Listed]:
    """Every file of a repository that has to be there; raises InputError where it, or the revision, is not."""
    listed = repository.files()
    if listed is None:
        raise InputError(not_found(repository.hub, repository.name, revision))
    return listed
