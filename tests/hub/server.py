"""Both hubs on 127.0.0.1: accounts, repositories, blobs and commits, spoken as their real clients expect it.

A call that is not among those the clients are known to make gets 501 and is kept in `unknown`, which tests look at.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests import loopback
from tests.loopback import COMMIT, modelscope_entries, sha256

INLINE_LIMIT = 64 * 1024


@dataclass
class Stored:
    """One repository."""

    files: dict[str, bytes] = field(default_factory=dict)
    private: bool = False
    display_name: str | None = None
    tags: set[str] = field(default_factory=set)
    commits: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """What the server holds, what it does wrong on purpose, and what it was asked.

    `broken` maps a kind of request (blob, commit, download, list, …) to how many of the next are to go wrong, and `how`
    says in which way: `drop` cuts the connection, a number is the status of the answer. Of files that are committed,
    `lose` are not kept and `mangle` are kept otherwise. Of files that are downloaded,
    `corrupt` ones have other bytes than the listing says, `swapped` ones another size too, `gone` ones are no longer
    there, and all but the manifest are fetched from `redirect` (with that status, HEAD requests too where
    `redirect_heads`). `uploads_at` is another address for blobs and, on Hugging Face, for verifying them.
    """

    accounts: dict[str, tuple[str, bool]] = field(default_factory=lambda: {"ms-good": ("alice", True)})
    repositories: dict[str, Stored] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    how: str | int = 500
    lose: set[str] = field(default_factory=set)
    mangle: set[str] = field(default_factory=set)
    corrupt: set[str] = field(default_factory=set)
    swapped: dict[str, bytes] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    redirect: str | None = None
    redirect_status: int = 302
    redirect_heads: bool = False
    uploads_at: str | None = None
    received: list[bytes] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""

    def count(self, method: str, pattern: str = "") -> int:
        """How many requests of a method have a path with this pattern in it."""
        return sum(one == method and re.search(pattern, path) is not None for one, path in self.asked)

    def was_sent(self, text: str) -> bool:
        """Whether any request had this text in its address, its headers or its body."""
        return any(text.encode() in request for request in self.received)


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends."""

    class Handler(_Handler):
        held = hub

    with loopback.serve(Handler) as hub.address:
        yield hub


class _Handler(loopback.Handler):
    held: Hub

    def do_HEAD(self) -> None:
        self._answer()

    do_GET = do_POST = do_PUT = do_HEAD

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        path, self.query = self.address()
        if path.startswith("/blob/") and self._goes_wrong("blob", length):
            return
        self.body = self.rfile.read(length)
        self.held.asked.append((self.command, path))
        self.held.received.append(f"{self.command} {self.path}\n{self.headers}".encode() + self.body)
        for method, pattern, name in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method.split():
                if self._goes_wrong(name.split("_")[-1], 0):
                    return
                getattr(self, f"_{name}")(*match.groups())
                return
        self.held.unknown.append((self.command, path))
        self.send(501, b"{}")

    def _goes_wrong(self, kind: str, length: int) -> bool:
        """Whether this request is one of those that the test wants to fail; then it has."""
        left = self.held.broken.get(kind, 0)
        if left == 0:
            return False
        self.held.broken[kind] = left - 1
        if self.held.how == "drop":
            self.rfile.read(length // 2)
            self.close_connection = True
            self.connection.close()
        else:
            self.rfile.read(length)
            self.send(int(self.held.how), b'{"Code":1,"Success":false,"Message":"broken on purpose"}')
        return True

    # -------------------------------------------------------------------------------------------- who and whether

    def _account(self) -> tuple[str, bool] | None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        return self.held.accounts.get(token)

    def _may_write(self, name: str) -> bool:
        """Whether the token may write to a repository; answers the request where it may not."""
        account = self._account()
        if account is None:
            self.send(401, b'{"Code":10010205002,"Success":false,"Message":"user not logged in"}')
        elif not account[1] or account[0] != name.split("/")[0]:
            self.send(403, b'{"Code":10010205003,"Success":false,"Message":"no permission"}')
        elif name not in self.held.repositories:
            self.send(404, b'{"Code":10010205001,"Success":false,"Message":"not found"}')
        else:
            return True
        return False

    def _readable(self, name: str) -> Stored | None:
        stored = self.held.repositories.get(name)
        account = self._account()
        hidden = stored is not None and stored.private and (account is None or account[0] != name.split("/")[0])
        if stored is None or hidden:
            code = {"X-Error-Code": "RepoNotFound"}
            self.send(404, b'{"Code":10010205001,"Success":false,"Message":"not found"}', **code)
            return None
        return stored

    # -------------------------------------------------------------------------------------------- ModelScope

    def _ms_me(self) -> None:
        account = self._account()
        if account is None:
            self.send(401, b'{"success":false,"code":"InvalidAuthentication","message":"token"}')
        else:
            self.send_json({"success": True, "data": {"id": 1, "username": account[0], "email": "x@example.com"}})

    def _ms_create(self) -> None:
        wanted = json.loads(self.body)
        name = f"{wanted['Path']}/{wanted['Name']}"
        account = self._account()
        if account is None or not account[1] or account[0] != wanted["Path"]:
            status = 401 if account is None else 403
            self.send(status, b'{"Code":10010205003,"Success":false,"Message":"no permission"}')
        elif name in self.held.repositories:
            self.send(400, b'{"Code":10010101001,"Success":false,"Message":"exists"}')
        else:
            stored = Stored(private=wanted["Visibility"] == 1, display_name=wanted.get("ChineseName"))
            stored.files[".gitattributes"] = b"*.safetensors filter=lfs\n"
            self.held.repositories[name] = stored
            self.send_envelope({"Path": wanted["Path"], "Name": wanted["Name"]})

    def _ms_batch(self, name: str) -> None:
        if self._may_write(name):
            self.send_envelope({"objects": self._objects()})

    def _objects(self) -> list[dict[str, Any]]:
        """The answer to a batch request: an upload address for every blob that is not stored."""
        objects = []
        for one in json.loads(self.body)["objects"]:
            entry = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.held.blobs:
                where = self.held.uploads_at or self.held.address
                entry["actions"] = {"upload": {"href": f"{where}/blob/{one['oid']}"}}
                if self.held.uploads_at and "/api/v1/" not in self.path:
                    entry["actions"]["verify"] = {"href": f"{where}/verify"}
            objects.append(entry)
        return objects

    def _put_blob(self, oid: str) -> None:
        if sha256(self.body) != oid:
            self.send(400, b"{}")
            return
        self.held.blobs[oid] = self.body
        self.send(200, b"")

    def _hf_verify(self) -> None:
        self.send_json({})

    def _ms_commit(self, name: str) -> None:
        if not self._may_write(name):
            return
        wanted = json.loads(self.body)
        files: dict[str, bytes | None] = {}
        for action in wanted["actions"]:
            if action["action"] == "delete":
                files[action["path"]] = None
            elif action["type"] == "lfs":
                if action["sha256"] not in self.held.blobs:
                    self.send(400, b'{"Code":2,"Success":false,"Message":"no such blob"}')
                    return
                files[action["path"]] = self.held.blobs[action["sha256"]]
            else:
                files[action["path"]] = base64.b64decode(action["content"])
        self._commit(name, wanted["commit_message"], files)
        self.send_envelope({})

    def _commit(self, name: str, message: str, files: dict[str, bytes | None]) -> None:
        stored = self.held.repositories[name]
        stored.commits.append(message)
        for path, data in files.items():
            if data is None:
                del stored.files[path]
            elif path not in self.held.lose:
                stored.files[path] = bytes(len(data)) if path in self.held.mangle else data

    def _ms_list(self, name: str) -> None:
        stored = self._readable(name)
        revision = self.query.get("Revision", "master")
        if stored is not None and revision not in {"master", *stored.tags}:
            self.send(404, b'{"Code":10010205001,"Success":false,"Message":"revision not found"}')
        elif stored is not None:
            self.send_envelope({"Files": modelscope_entries(stored.files)})

    def _ms_revisions(self, name: str) -> None:
        self.send_envelope({"RevisionMap": {"Branches": [{"Revision": "master"}], "Tags": []}})

    def _ms_tag(self, name: str) -> None:
        if self._may_write(name):
            self.held.repositories[name].tags.add(json.loads(self.body)["TagName"])
            self.send_envelope({})

    def _ms_acceleration(self) -> None:
        self.send_envelope({"InternalRegionQueryAddress": ""})

    def _ms_download(self, name: str) -> None:
        stored = self._readable(name)
        if stored is not None:
            self._file(stored, self.query.get("FilePath", ""), "X-Linked-ETag")

    # -------------------------------------------------------------------------------------------- Hugging Face

    def _hf_me(self) -> None:
        account = self._account()
        if account is None:
            self.send(401, b'{"error":"Invalid user token."}')
        else:
            self.send_json({"name": account[0], "type": "user", "orgs": []})

    def _hf_create(self) -> None:
        wanted = json.loads(self.body)
        account = self._account()
        name = f"{wanted.get('organization') or (account or ('?',))[0]}/{wanted['name']}"
        if account is None or not account[1] or name.split("/")[0] != account[0]:
            self.send(401 if account is None else 403, b'{"error":"You do not have the rights"}')
        elif name in self.held.repositories:
            self.send_json({"url": f"{self.held.address}/{name}"}, 409)
        else:
            self.held.repositories[name] = Stored({".gitattributes": b"x"}, bool(wanted.get("private")))
            self.send_json({"url": f"{self.held.address}/{name}"})

    def _hf_yaml(self) -> None:
        self.send_json({"warnings": [], "errors": []})

    def _hf_preupload(self, name: str) -> None:
        if self._may_write(name):
            modes = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["size"] > INLINE_LIMIT or _is_weight(one["path"]) else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(self.body)["files"]
            ]
            self.send_json({"files": modes})

    def _hf_batch(self, name: str) -> None:
        if self._may_write(name):
            self.send_json({"transfer": "basic", "objects": self._objects()})

    def _hf_commit(self, name: str) -> None:
        if not self._may_write(name):
            return
        files: dict[str, bytes | None] = {}
        message = ""
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.held.blobs[value["oid"]]
            elif entry["key"] == "deletedFile":
                files[value["path"]] = None
        self._commit(name, message, files)
        self.send_json({"commitUrl": f"{self.held.address}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def _hf_tag(self, name: str) -> None:
        if self._may_write(name):
            self.held.repositories[name].tags.add(json.loads(self.body)["tag"])
            self.send_json({})

    def _hf_list(self, name: str, revision: str | None = None) -> None:
        stored = self._readable(name)
        if stored is None:
            return
        if revision not in {None, "main", COMMIT, *stored.tags}:
            self.send(404, b"{}", **{"X-Error-Code": "RevisionNotFound"})
            return
        siblings = []
        for path, data in stored.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            entry: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": blob}
            if len(data) > INLINE_LIMIT or _is_weight(path):
                entry["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 130}
            siblings.append(entry)
        self.send_json({"id": name, "sha": COMMIT, "siblings": siblings})

    def _hf_tree(self, name: str) -> None:
        stored = self._readable(name)
        if stored is not None:
            self.send_json([{"type": "file", "path": p, "size": len(d), "oid": "0"} for p, d in stored.files.items()])

    def _hf_download(self, name: str, path: str) -> None:
        stored = self._readable(name)
        if stored is not None:
            self._file(stored, path, "ETag")

    # -------------------------------------------------------------------------------------------- answers

    def _file(self, stored: Stored, path: str, etag: str) -> None:
        data = None if path in self.held.gone else self.held.swapped.get(path, stored.files.get(path))
        if data is None:
            self.send(404, b"{}", **{"X-Error-Code": "EntryNotFound"})
            return
        headers = {etag: f'"{sha256(data)}"', "X-Repo-Commit": COMMIT}
        redirected = self.held.redirect is not None and path != "manifest.json"
        if redirected and (self.command == "GET" or self.held.redirect_heads):
            self.send(self.held.redirect_status, b"", Location=str(self.held.redirect))
            return
        if path in self.held.corrupt:
            data = bytes(len(data))
        self.send_file(data, **headers)


_NAME = r"([^/]+/[^/]+)"
ROUTES = (
    ("GET", r"/openapi/v1/users/me", "ms_me"),
    ("POST", r"/api/v1/models", "ms_create"),
    ("POST", rf"/api/v1/repos/models/{_NAME}/info/lfs/objects/batch", "ms_batch"),
    ("PUT", r"/blob/([0-9a-f]{64})", "put_blob"),
    ("POST", r"/verify", "hf_verify"),
    ("POST", rf"/api/v1/repos/models/{_NAME}/commit/master", "ms_commit"),
    ("GET", rf"/api/v1/models/{_NAME}/repo/files", "ms_list"),
    ("GET", rf"/api/v1/models/{_NAME}/revisions", "ms_revisions"),
    ("POST", rf"/api/v1/models/{_NAME}/repo/tag", "ms_tag"),
    ("GET HEAD", rf"/api/v1/models/{_NAME}/repo", "ms_download"),
    ("GET", r"/api/v1/repos/internalAccelerationInfo", "ms_acceleration"),
    ("GET", r"/api/whoami-v2", "hf_me"),
    ("POST", r"/api/repos/create", "hf_create"),
    ("POST", r"/api/validate-yaml", "hf_yaml"),
    ("POST", rf"/api/models/{_NAME}/preupload/main", "hf_preupload"),
    ("POST", rf"/{_NAME}\.git/info/lfs/objects/batch", "hf_batch"),
    ("POST", rf"/api/models/{_NAME}/commit/main", "hf_commit"),
    ("POST", rf"/api/models/{_NAME}/tag/main", "hf_tag"),
    ("GET", rf"/api/models/{_NAME}/tree/main", "hf_tree"),
    ("GET", rf"/api/models/{_NAME}(?:/revision/([^/]+))?", "hf_list"),
    ("GET HEAD", rf"/{_NAME}/resolve/[^/]+/(.+)", "hf_download"),
)
"""Method, path, handler."""


def _is_weight(path: str) -> bool:
    return path.endswith((".safetensors", ".ckpt"))
