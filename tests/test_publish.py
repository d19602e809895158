"""Publishing with the hubs' real clients to a hub on 127.0.0.1."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from kolors_submit import cli
from kolors_submit.bundle import manifest
from kolors_submit.errors import InputError, OutsideError
from kolors_submit.files import file_digest
from kolors_submit.hub import name_problems
from kolors_submit.hub.repository import git_sha1
from kolors_submit.publish import Target, publish
from kolors_submit.report import quiet
from tests.bundle.runs import make_run, story
from tests.hub.conftest import entry, hub, packed_entry  # noqa: F401 - fixtures
from tests.hub.server import Stored

HUBS = ("modelscope", "huggingface")
NAME = "alice/Rainy-Cat"


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in manifest.files_below(folder)}


def send(entry: Path, where: str = "modelscope", **options) -> dict:
    return publish(entry, Target(repository=NAME, hub=where, **options), quiet())


def held(hub) -> dict[str, bytes]:
    files = dict(hub.repositories[NAME].files)
    del files[".gitattributes"]
    return files


@pytest.mark.parametrize("where", HUBS)
def test_the_hub_holds_the_bundle_and_nothing_else(hub, entry, where):
    before = files_of(entry)
    value = send(entry, where, display_name="示例队-可图Kolors训练-雨天的猫")
    assert held(hub) == before == files_of(entry)
    assert value["page"].endswith(NAME) and value["page"].startswith(hub.address)
    assert json.loads((entry.parent / "published.json").read_text()) == value
    assert value["page"] in (entry.parent / "post.md").read_text()
    assert value["bundle"][:12] in next(iter(hub.repositories[NAME].tags))
    if where == "modelscope":
        assert hub.repositories[NAME].display_name == "示例队-可图Kolors训练-雨天的猫"


def test_a_post_that_was_edited_is_kept(hub, entry, capsys):
    post = entry.parent / "post.md"
    for edited in (False, True, True):
        send(entry)
        if edited:
            assert post.read_text() == "mine"
        post.write_text("mine")
    assert cli.run(["publish", str(entry), "--repo", NAME]) == 0
    assert f"{post} was edited, or is not this program's, and is kept; delete it" in capsys.readouterr().err
    post.unlink()
    send(entry)
    assert NAME in post.read_text()


def test_a_post_that_lay_there_before_the_first_publishing_is_kept(hub, entry):
    post = entry.parent / "post.md"
    post.write_text("my own notes")
    assert send(entry)["post"] is None and post.read_text() == "my own notes"


def test_a_bundle_named_by_a_dot_stays_what_it_is(hub, entry, monkeypatch):
    before = files_of(entry)
    monkeypatch.chdir(entry)
    send(Path())
    assert files_of(entry) == before
    assert (entry.parent / "published.json").is_file() and (entry.parent / "post.md").is_file()


@pytest.mark.parametrize("where", HUBS)
def test_publishing_again_sends_nothing(hub, entry, where):
    send(entry, where)
    puts, commits = hub.count("PUT"), len(hub.repositories[NAME].commits)
    assert send(entry, where)["sent"] == []
    assert (hub.count("PUT"), len(hub.repositories[NAME].commits)) == (puts, commits)


@pytest.mark.parametrize("where", HUBS)
@pytest.mark.parametrize("private", [True, False])
def test_visibility_is_set_when_the_repository_is_made(hub, entry, where, private):
    send(entry, where, private=private)
    assert hub.repositories[NAME].private is private


@pytest.mark.parametrize("where", HUBS)
def test_a_new_version_is_a_new_commit_without_the_old_ones_leftovers(hub, entry, tmp_path, where):
    send(entry, where)
    hub.repositories[NAME].files["lora/old-name.safetensors"] = b"old"
    hub.repositories[NAME].files["scores.json"] = b"{}"
    value = send(entry, where)
    assert (value["sent"], value["deleted"]) == (["scores.json"], ["lora/old-name.safetensors"])
    assert held(hub) == files_of(entry)


@pytest.mark.parametrize("where", HUBS)
@pytest.mark.parametrize("kind", ["blob", "commit"])
def test_cut_in_the_middle_and_again(hub, entry, where, kind):
    hub.how, hub.broken = 500, {kind: 1000}
    with pytest.raises(OutsideError, match="again"):
        send(entry, where)
    hub.broken = {}
    send(entry, where)
    assert held(hub) == files_of(entry)


REQUESTS = [
    *(("modelscope", kind) for kind in ("me", "list", "create", "batch", "blob", "commit")),
    *(("huggingface", kind) for kind in ("me", "list", "create", "yaml", "preupload", "batch", "blob", "commit")),
]


@pytest.mark.parametrize(("where", "kind"), REQUESTS)
@pytest.mark.parametrize("how", [503, "drop"])
def test_whatever_request_fails_is_told_and_mended_by_the_next_run(hub, entry, monkeypatch, where, kind, how):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.how, hub.broken = how, {kind: 1000}
    with pytest.raises(OutsideError, match="run the same command again") as raised:
        send(entry, where)
    assert len(str(raised.value).splitlines()) == 1 and "ms-good" not in str(raised.value)
    assert not (entry.parent / "published.json").exists()
    hub.broken = {}
    send(entry, where)
    assert held(hub) == files_of(entry)


@pytest.mark.parametrize("where", HUBS)
def test_a_tag_that_fails_is_only_told(hub, entry, where):
    hub.how, hub.broken = 500, {"tag": 1000}
    send(entry, where)
    assert held(hub) == files_of(entry) and hub.repositories[NAME].tags == set()


@pytest.mark.parametrize("where", HUBS)
def test_a_name_that_somebody_hides(hub, entry, where):
    """A private repository of that name looks as if there were none, until it is to be made."""
    hub.repositories[NAME] = Stored(private=True)
    hub.accounts = {"ms-good": ("bob", True)}
    with pytest.raises(InputError, match="somebody else's"):
        send(entry, where)
    assert hub.repositories[NAME].files == {}


@pytest.mark.parametrize("where", HUBS)
def test_a_dropped_connection_is_tried_again(hub, entry, where):
    hub.how, hub.broken = "drop", {"blob": 1}
    send(entry, where)
    assert held(hub) == files_of(entry)


@pytest.mark.parametrize("where", HUBS)
def test_what_the_hub_lost_is_listed(hub, entry, where):
    hub.lose = {"scores.json"}
    with pytest.raises(OutsideError, match=r"scores\.json is not on the hub"):
        send(entry, where)


@pytest.mark.parametrize("where", HUBS)
def test_a_wrong_token_is_said_before_anything_is_sent(hub, entry, where, monkeypatch):
    for variable in ("MODELSCOPE_API_TOKEN", "HF_TOKEN"):
        monkeypatch.setenv(variable, "ms-wrong-secret")
    with pytest.raises(InputError, match="does not accept the token") as raised:
        send(entry, where)
    assert "ms-wrong-secret" not in str(raised.value)
    assert hub.count("POST") == hub.count("PUT") == 0


@pytest.mark.parametrize("where", HUBS)
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("token", [("alice", False), ("bob", True)])
def test_a_token_that_may_not_write(hub, entry, where, exists, token):
    if exists:
        send(entry, where)
        hub.repositories[NAME].files.pop("scores.json")
    hub.accounts = {"ms-good": token}
    with pytest.raises(InputError, match="does not let this token write"):
        send(entry, where)
    assert exists or NAME not in hub.repositories


@pytest.mark.parametrize("where", HUBS)
def test_no_token(hub, entry, where, monkeypatch):
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", "")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match="no .* token"):
        send(entry, where)
    assert hub.asked == []


@pytest.mark.parametrize("where", HUBS)
def test_files_of_another_kind_in_the_repository_stop_it(hub, entry, where):
    send(entry, where)
    hub.repositories[NAME].files["thesis.pdf"] = b"x"
    with pytest.raises(InputError, match=r"thesis\.pdf"):
        send(entry, where)
    assert "thesis.pdf" in hub.repositories[NAME].files


def test_nobody_listens(hub, entry, monkeypatch):
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OutsideError, match="run the same command again"):
        send(entry)


def test_a_dry_run_sends_nothing(hub, entry):
    value = send(entry, dry_run=True)
    assert set(value["sent"]) == set(files_of(entry))
    assert hub.repositories == {} and hub.count("POST") == hub.count("PUT") == 0
    assert not (entry.parent / "published.json").exists()


@pytest.mark.parametrize("where", HUBS)
def test_a_dry_run_without_a_token_lists_files_and_sizes(hub, entry, where, monkeypatch, capsys):
    monkeypatch.delenv("MODELSCOPE_API_TOKEN")
    monkeypatch.delenv("HF_TOKEN")
    assert cli.run(["publish", str(entry), "--repo", NAME, "--hub", where, "--dry-run", "--json"]) == 0
    heard = capsys.readouterr()
    assert "note: no " in heard.err and "token: set" in heard.err
    for name, data in files_of(entry).items():
        assert f"{len(data):,} bytes  {name}" in heard.err
    assert set(json.loads(heard.out)["metrics"]["sent"]) == set(files_of(entry))
    assert hub.asked == [] and not (entry.parent / "published.json").exists()


def test_a_dry_run_lists_before_it_refuses(hub, tmp_path, capsys):
    from kolors_submit.bundle.pack import pack

    job = make_run(tmp_path, base="picturebook")
    assert pack(job)
    assert cli.run(["publish", str(job.run.bundle), "--repo", NAME, "--dry-run"]) == 2
    heard = capsys.readouterr().err
    assert " bytes  images/08.png" in heard
    assert "pass --demonstration (make publish: ARGS=--demonstration; make submission: PUSH=--demonstration)" in heard


def test_a_demonstration_has_to_be_asked_for(hub, tmp_path):
    from kolors_submit.bundle.pack import pack

    job = make_run(tmp_path, base="picturebook")
    assert pack(job)
    with pytest.raises(InputError, match="--demonstration"):
        send(job.run.bundle)
    assert hub.asked == []
    send(job.run.bundle, demonstration=True)
    assert held(hub) == files_of(job.run.bundle)


@pytest.mark.parametrize(("team", "said"), [("示例队", True), ("星队", False)])
def test_the_examples_team_is_told(hub, tmp_path, capsys, team, said):
    from kolors_submit.bundle.pack import pack

    name = f"{team}-可图Kolors训练-雨天的猫"
    job = make_run(tmp_path, chosen=story(team=team, submission={"repository": NAME, "display_name": name}))
    assert pack(job)
    assert cli.run(["publish", str(job.run.bundle), "--dry-run"]) == 0
    assert ("the team is still 示例队" in capsys.readouterr().err) == said


def test_a_bundle_that_fails_the_check_is_not_sent(hub, entry, capsys):
    (entry / "scores.json").write_text("{}")
    assert cli.run(["publish", str(entry), "--repo", NAME]) == 1
    assert hub.asked == []


def test_the_command_line_and_its_token(hub, entry, capsys):
    status = cli.run(["publish", str(entry), "--repo", NAME, "--json"])
    captured = capsys.readouterr()
    assert status == 0 and json.loads(captured.out)["metrics"]["repository"] == NAME
    hub.how, hub.broken = 500, {"blob": 1000}
    hub.repositories.clear(), hub.blobs.clear()
    assert cli.run(["publish", str(entry), "--repo", NAME, "--debug"]) == 3
    captured = capsys.readouterr()
    assert "ms-good" not in captured.out + captured.err
    written = [path for path in entry.parent.rglob("*") if path.is_file()]
    assert all(b"ms-good" not in path.read_bytes() for path in written)


@pytest.mark.parametrize("where", HUBS)
def test_a_token_stands_in_no_log_no_file_and_no_address(hub, entry, where, tmp_path, caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        for name in ("modelscope_hub", "huggingface_hub", "urllib3"):
            caplog.set_level(logging.DEBUG, logger=name)
        assert cli.run(["publish", str(entry), "--repo", NAME, "--hub", where, "--debug"]) == 0
        hub.how, hub.broken = 500, {"commit": 1000}
        hub.repositories[NAME].files.pop("scores.json")
        assert cli.run(["publish", str(entry), "--repo", NAME, "--hub", where, "--debug"]) == 3
        fetched = ["reproduce", f"{where}:{NAME}", "--out", str(tmp_path / "out"), "--base", "picturebook", "--debug"]
        assert cli.run(fetched) in (2, 3)
    shown = capfd.readouterr()
    assert "ms-good" not in caplog.text + shown.out + shown.err and len(caplog.records) > 10
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"ms-good" in path.read_bytes()] == []
    assert all(b"ms-good" not in request.split(b"\n")[0] for request in hub.received)


def wrong_token(hub):
    hub.accounts = {"ms-other": ("alice", True)}


def read_only_token(hub):
    hub.accounts = {"ms-good": ("alice", False)}


def somebody_elses(hub):
    hub.repositories[NAME], hub.accounts = Stored(), {"ms-good": ("bob", True)}


def name_taken_and_hidden(hub):
    hub.repositories[NAME], hub.accounts = Stored(private=True), {"ms-good": ("bob", True)}


def name_taken_for_another_thing(hub):
    hub.repositories[NAME] = Stored({"thesis.pdf": b"x"})


def network_cut(hub):
    hub.how, hub.broken = "drop", {"blob": 1000}


def server_errors(hub):
    hub.how, hub.broken = 502, {"commit": 1000}


def refused_for_now(hub):
    hub.how, hub.broken = 429, {"create": 1000}


def another_content(hub):
    hub.mangle = {"images/03.png", "scores.json"}


FAILURES = {
    wrong_token: (2, "does not accept the token; set"),
    read_only_token: (2, "does not let this token write to alice/Rainy-Cat"),
    somebody_elses: (2, "somebody else's"),
    name_taken_and_hidden: (2, "somebody else's"),
    name_taken_for_another_thing: (2, "holds files that belong to no bundle (thesis.pdf)"),
    network_cut: (3, "run the same command again to go on"),
    server_errors: (3, "(status 502)"),
    refused_for_now: (3, "(status 429)"),
    another_content: (3, "images/03.png has "),
}
"""Each with its exit status and what is said; a full disk is in test_full_disk.py."""


@pytest.mark.parametrize("where", HUBS)
@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_is_one_sentence_and_mended_by_the_next_run(hub, entry, capsys, monkeypatch, where, failure):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    status, said = FAILURES[failure]
    failure(hub)
    command = ["publish", str(entry), "--repo", NAME, "--hub", where]
    assert cli.run(command) == status
    heard = capsys.readouterr().err
    assert heard.count("error: ") == 1 and said in heard.partition("error: ")[2]
    assert "Traceback" not in heard and "ms-good" not in heard
    assert not (entry.parent / "published.json").exists()
    hub.accounts, hub.broken, hub.mangle = {"ms-good": ("alice", True)}, {}, set()
    hub.repositories.pop(NAME, None)
    assert cli.run(command) == 0
    heard = capsys.readouterr().err
    assert held(hub) == files_of(entry)
    assert heard.index(f"{where}:{NAME} as alice") < heard.index("files to send"), "who it is comes first"
    assert f"kolors-submit reproduce {where}:{NAME}" in heard and "post.md" in heard


@pytest.mark.parametrize(
    ("name", "said"),
    [("雨天的猫", "队伍名称-可图Kolors训练-作品名称"), ("另一队-可图Kolors训练-雨天的猫", "the card's title is not")],
)
def test_a_display_name_that_is_not_the_storys(hub, entry, capsys, name, said):
    assert cli.run(["publish", str(entry), "--repo", NAME, "--display-name", name]) == 0
    assert said in capsys.readouterr().err and hub.repositories[NAME].display_name == name


@pytest.mark.parametrize("options", [["--private"], ["--display-name", "示例队-可图Kolors训练-雨天的猫"], []])
def test_what_only_a_new_repository_takes_is_said_of_an_old_one(hub, entry, capsys, options):
    send(entry)
    assert cli.run(["publish", str(entry), "--repo", NAME, *options]) == 0
    assert (f"{NAME} exists already: --private and --display-name" in capsys.readouterr().err) == bool(options)


def test_the_story_names_the_repository(hub, entry):
    assert story().submission.repository == "team/Rainy-Cat"
    hub.accounts = {"ms-good": ("team", True)}
    assert publish(entry, Target(), quiet())["page"].endswith("team/Rainy-Cat")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("alice", "owner/Name"),
        ("a/b/c", "owner/Name"),
        ("/x", "empty"),
        ("alice/雨天的猫", "--display-name"),
        ("alice/rainy cat", "letters"),
        ("alice/" + "x" * 97, "97"),
        ("alice/a..b", "'..'"),
        ("alice/cat.git", ".git"),
        ("alice/Test", "hides"),
    ],
)
def test_names(name, said):
    assert said in " ".join(name_problems(name))


def test_a_sound_name():
    assert name_problems("alice/Rainy-Cat_1.0") == []


def test_gits_digest_is_that_of_git(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"hello\n")
    assert git_sha1(path) == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert file_digest(path) != git_sha1(path)
