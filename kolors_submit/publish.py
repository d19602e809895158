"""Publishing: a bundle that passes the check goes to a hub, and what the hub then holds is compared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolors_submit import hub as hubs
from kolors_submit.bundle import layout, manifest
from kolors_submit.bundle.archive import open_bundle
from kolors_submit.bundle.check import check_bundle
from kolors_submit.bundle.opened import Opened, open_values
from kolors_submit.bundle.rules_contents import CONTEST_NAME, is_contest_name
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import file_digest, read_json, write_json, write_text
from kolors_submit.hub.known import find_token, token_advice
from kolors_submit.report import Reporter
from kolors_submit.story import EXAMPLE_TEAMS, Story
from kolors_submit.weights.download import gigabytes

FORMAT = 1
PUBLISHED = "published.json"
HUB_OWN = (".gitattributes", ".gitignore", ".mdl", ".msc")
"""Files that a hub puts into a repository by itself."""


@dataclass(frozen=True)
class Target:
    """Where a bundle goes; what is None is what its story says."""

    repository: str | None = None
    hub: str | None = None
    display_name: str | None = None
    private: bool = False
    demonstration: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Plan:
    """What has to be sent and deleted so that the hub holds the bundle."""

    send: Sequence[str]
    delete: Sequence[str]
    exists: bool


def publish(bundle: Path, target: Target, report: Reporter) -> dict[str, Any]:
    """Publish a bundle (a folder or a zip file); returns published.json's value, written beside the bundle.

    Sends only what the hub lacks, so that it goes on after a cut and sends nothing the second time. Raises RuleError
    where the check fails, InputError for a wrong name or token or a demonstration that is not asked for, OutsideError
    where the hub fails or holds something else in the end.
    """
    with open_bundle(bundle) as folder:
        check_bundle(folder, report)
        opened, _ = open_values(folder, manifest.files_below(folder))
        assert opened.story is not None  # a bundle without a story does not pass the check
        files = _files(folder)
        if target.dry_run:
            _say_files(files, report)
        _refuse_demonstration(opened, target)
        name = _name(opened.story, target, report)
        display_name = _display_name(opened, target, report)
        repository = hubs.open_hub(target.hub or opened.story.submission.hub, name)
        if target.dry_run and find_token(repository.hub) is None:
            report.note(f"{token_advice(repository.hub)}; what {name} holds already is not looked at without one")
            return _summary(repository, opened.story, display_name, folder, Plan(list(files), [], exists=False))
        account = repository.account()
        report.stage("publish", f"{bundle} to {repository.hub}:{name} as {account}")
        if account != name.split("/")[0]:
            report.note(f"the token belongs to {account}; {name} has to be one that {account} may write to")
        plan = _plan(folder, files, repository)
        if target.dry_run:
            _say_plan(plan, files, report)
            return _summary(repository, opened.story, display_name, folder, plan)
        if plan.exists and (target.private or target.display_name):
            report.note(f"{name} exists already: --private and --display-name are for a new one; see {repository.page}")
        _send(folder, plan, repository, display_name, target.private, report)
        _compare(folder, files, repository)
        _tag(repository, folder, report)
        value = _summary(repository, opened.story, display_name, folder, plan)
        beside = bundle.resolve().parent
        value["post"] = _write_post(beside, _post(folder, repository.page, value["display_name"]), report)
        write_json(beside / PUBLISHED, value)
    report.stage("publish", f"{value['page']}: {len(files)} files, each as in the manifest", done=True)
    report.say(f"        to reproduce it: {value['reproduce']}")
    report.say(f"        for the contest's forum: {beside / layout.POST}")
    return value


def _refuse_demonstration(opened: Opened, target: Target) -> None:
    if opened.is_demonstration and not target.demonstration:
        raise InputError(
            f"this bundle was made on {str(opened.base)[:80]!r}, not on Kolors: a demonstration, which no contest "
            "accepts. Publish an entry made with --base kolors, or pass --demonstration (make publish: "
            "ARGS=--demonstration; make submission: PUSH=--demonstration)"
        )


def _name(story: Story, target: Target, report: Reporter) -> str:
    """The repository's id; raises InputError with everything that is wrong with it."""
    name = target.repository or story.submission.repository
    if not name:
        raise InputError("the story names no repository; pass --repo owner/Name or set submission.repository")
    problems = hubs.name_problems(name)
    if problems:
        raise InputError("\n".join(problems))
    if name != story.submission.repository:
        report.note(f"the card and the page do not name {name}; set submission.repository in the story for that")
    return name


def _display_name(opened: Opened, target: Target, report: Reporter) -> str | None:
    """The name that people read; says where it is not the card's, or not as the contest wants it."""
    assert opened.story is not None
    own = opened.story.submission.display_name
    name = target.display_name or own
    if name != own:
        report.note(f"the card's title is not {name}; set submission.display_name in the story for that")
    if opened.is_demonstration:
        return name
    if opened.story.team in EXAMPLE_TEAMS:
        report.note(f"the team is still {opened.story.team}, the examples'; set team and submission.display_name")
    if target.display_name and not is_contest_name(target.display_name):
        report.note(f"--display-name {target.display_name}: the contest's names are {CONTEST_NAME}")
    return name


def _files(folder: Path) -> dict[str, manifest.Entry]:
    """Every file that is to be on the hub: those of the manifest, and the manifest."""
    path = folder / layout.MANIFEST
    own = manifest.Entry(file_digest(path), path.stat().st_size)
    return {**manifest.read(path).files, layout.MANIFEST: own}


def _plan(folder: Path, files: dict[str, manifest.Entry], repository: hubs.Repository) -> Plan:
    """What the hub lacks and what an older version left; raises InputError where it holds something else altogether."""
    listed = repository.files()
    there = {one.path: one for one in listed or [] if one.path not in HUB_OWN}
    strange = [path for path in there if layout.path_problem(path) or layout.place_problem(path)]
    if strange:
        named = ", ".join(sorted(strange)[:10])
        raise InputError(
            f"{repository.name} holds files that belong to no bundle ({named}); publish to a repository of its own"
        )
    send = []
    for path, entry in files.items():
        held = there.get(path)
        if held is None or held.difference(folder / path, entry.size, entry.sha256):
            send.append(path)
    # The manifest goes last where it can, so that a cut upload is known by a manifest that does not fit.
    send.sort(key=lambda path: (path == layout.MANIFEST, path))
    return Plan(send, sorted(there.keys() - files.keys()), listed is not None)


def _say_files(files: Mapping[str, manifest.Entry], report: Reporter) -> None:
    """Every file of the bundle with its size."""
    report.stage("publish", f"{len(files)} files, {gigabytes(sum(entry.size for entry in files.values()))}")
    for path, entry in files.items():
        report.say(f"        {entry.size:>13,} bytes  {path}")


def _say_plan(plan: Plan, files: Mapping[str, manifest.Entry], report: Reporter) -> None:
    """What of them the hub lacks."""
    said = "exists" if plan.exists else "would be created"
    size = gigabytes(sum(files[path].size for path in plan.send))
    report.say(f"        the repository {said}; {len(plan.send)} files to send ({size}), {len(plan.delete)} to delete")
    for path in (*(plan.send if len(plan.send) < len(files) else ()), *(f"{path} (delete)" for path in plan.delete)):
        report.say(f"        {path}")


def _send(
    folder: Path, plan: Plan, repository: hubs.Repository, name: str | None, private: bool, report: Reporter
) -> None:
    """Create the repository, commit what is missing, remove what is left over."""
    if not plan.exists:
        repository.create(private, name, "other")
    message = f"Bundle {manifest.read(folder / layout.MANIFEST).digest[:12]}"
    report.stage("publish", f"{len(plan.send)} files to send" if plan.send else "the hub has every file already")
    if plan.send:
        repository.send(folder, plan.send, message, report.quiet)
    if plan.delete:
        repository.delete(plan.delete, message)


def _compare(folder: Path, files: dict[str, manifest.Entry], repository: hubs.Repository) -> None:
    """Raises OutsideError with every difference between the hub's list and the manifest."""
    there = {one.path: one for one in repository.files() or [] if one.path not in HUB_OWN}
    found = [f"{path} is not on the hub" for path in sorted(files.keys() - there.keys())]
    found += [f"{path} is on the hub and not in the bundle" for path in sorted(there.keys() - files.keys())]
    for path in sorted(files.keys() & there.keys()):
        difference = there[path].difference(folder / path, files[path].size, files[path].sha256)
        if difference:
            found.append(f"{path} {difference}")
    if found:
        lines = "\n".join(f"  {line}" for line in found[:50])
        raise OutsideError(f"{repository.name} is not what was sent; publish again:\n{lines}")


def _tag(repository: hubs.Repository, folder: Path, report: Reporter) -> None:
    """Tag the version by its digest; the entry is whole without, so a refusal is only told."""
    try:
        repository.tag(f"bundle-{manifest.read(folder / layout.MANIFEST).digest[:12]}")
    except (InputError, OutsideError) as error:
        report.note(f"the version has no tag: {error}")


def _summary(
    repository: hubs.Repository, story: Story, display_name: str | None, folder: Path, plan: Plan
) -> dict[str, Any]:
    """What published.json says."""
    return {
        "format": FORMAT,
        "hub": repository.hub,
        "repository": repository.name,
        "page": repository.page,
        "display_name": display_name or story.title,
        "bundle": manifest.read(folder / layout.MANIFEST).digest,
        "sent": list(plan.send),
        "deleted": list(plan.delete),
        "reproduce": f"kolors-submit reproduce {repository.hub}:{repository.name}",
    }


def _write_post(beside: Path, text: str, report: Reporter) -> str | None:
    """Write the forum's text where none lies but our own; returns the SHA-256 of what was written last."""
    path = beside / layout.POST
    known: str | None = (read_json(beside / PUBLISHED) or {}).get("post")
    if path.is_file() and file_digest(path) != known and path.read_bytes() != text.encode():
        report.note(f"{path} was edited, or is not this program's, and is kept; delete it to have it written anew")
        return known
    return file_digest(write_text(path, text))


def _post(folder: Path, page: str, title: str) -> str:
    """The forum's text, with the LoRA's address above it where the bundle was packed without one."""
    text = (folder / layout.POST).read_text("utf-8")
    return text if page in text else f"{title}: {page}\n\n{text}"
