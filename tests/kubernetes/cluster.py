"""A stand-in for the API server: what of it a driver sees, with its limits, versions, conflicts and interruptions."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import h11

from cdi_runc.inventory.ending import end
from cdi_runc.kubernetes.credentials import Credentials

Object = dict[str, Any]
GROUP = "/apis/resource.k8s.io"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ATTRIBUTE = re.compile(r"([a-z0-9][-a-z0-9.]{0,62}/)?[A-Za-z_][A-Za-z0-9_]{0,31}")


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class ApiServer:
    """ResourceSlices and events that can be written, nodes that can be labelled, claims and DaemonSets."""

    def __init__(self, versions: tuple[str, ...] = ("v1", "v1beta2", "v1beta1"), drops: frozenset[str] = frozenset()):
        self.versions = versions
        self.drops = drops  # the fields of feature gates that are off
        self.slices: dict[str, Object] = {}
        self.claims: dict[tuple[str, str], Object] = {}
        self.nodes: dict[str, Object] = {"node-1": {"metadata": {"name": "node-1", "uid": "node-uid"}}}
        self.daemon_sets: dict[str, Object] = {}  # by namespace and name
        self.events: dict[str, Object] = {}
        self.refuses: dict[str, int] = {}  # statuses by request, such as "POST /api/v1/namespaces/default/events"
        self.token = ""
        self.conflicts = 0  # so many writes are answered with 409
        self.requests: list[str] = []
        self.port = 0
        self._revision = 100
        self._history: list[tuple[int, Object]] = []
        self._oldest = 0
        self._happened = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watches: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From its start to its end."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            await end(self._tasks)

    def credentials(self) -> Credentials:
        """For a client."""
        return Credentials("127.0.0.1", self.port, False, token=self.token)

    def kubeconfig(self, path: Path) -> Path:
        """The same in a file, for a process."""
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "c", "context": {"cluster": "c"}}
        path.write_text(json.dumps({"current-context": "c", "contexts": [context], "clusters": [cluster]}))
        return path

    def devices(self) -> dict[str, Object]:
        """What a scheduler sees: the devices of the newest generation, if that is complete."""
        newest = max((each["spec"]["pool"]["generation"] for each in self.slices.values()), default=0)
        pool = [each["spec"] for each in self.slices.values() if each["spec"]["pool"]["generation"] == newest]
        if not pool or len(pool) != pool[0]["pool"]["resourceSliceCount"]:
            return {}
        return {device["name"]: device for spec in pool for device in spec.get("devices") or ()}

    def label(self, node: str = "node-1") -> str | None:
        """The node's label of ours."""
        found: str | None = self.nodes[node]["metadata"].get("labels", {}).get("cdi-runc/devices")
        return found

    def kubelet_starts(self) -> None:
        """The kubelet deletes all slices of its node."""
        for name in list(self.slices):
            self._change("DELETED", self.slices.pop(name))

    def interrupt_watches(self) -> None:
        """Connections break."""
        for writer in self._watches:
            writer.close()

    def compact(self) -> None:
        """Who watches from here on with an old resource version gets 410."""
        self._revision += 10
        self._oldest = self._revision
        self._history.clear()
        self.interrupt_watches()

    def claim(self, name: str, *devices: str, uid: str = "", **more: Any) -> Object:
        """Makes a claim that has been allocated these devices, as r0, r1 and so on."""
        found = [
            {"driver": "cdi-runc", "pool": "node-1", "device": device, "request": f"r{number}", **more}
            for number, device in enumerate(devices)
        ]
        status = {"allocation": {"devices": {"results": found}}, "reservedFor": [{"resource": "pods", "name": "p"}]}
        metadata = {"namespace": "default", "name": name, "uid": uid or f"uid-{name}"}
        self.claims["default", name] = {"metadata": metadata, "status": status}
        return self.claims["default", name]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        connection = h11.Connection(h11.SERVER)
        try:
            while True:
                request, body = await self._request(connection, reader)
                url = urlsplit(request.target.decode())
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                method, path = request.method.decode(), unquote(url.path)
                kind = dict(request.headers).get(b"content-type", b"").decode()
                assert not body or kind == f"application/{'merge-patch+' if method == 'PATCH' else ''}json"
                self.requests.append(f"{'WATCH' if 'watch' in query else method} {path}")
                try:
                    self._authenticate(dict(request.headers))
                    if status := self.refuses.get(f"{method} {path}"):
                        raise Refusal(status, "no")
                    if "watch" in query:
                        await self._watch(connection, writer, int(query["resourceVersion"]))
                        return
                    status, answer = 200 if method != "POST" else 201, self._answer(method, path, query, body)
                except Refusal as refusal:
                    status, answer = refusal.status, {"kind": "Status", "message": str(refusal)}
                data = json.dumps(answer).encode()
                head = h11.Response(status_code=status, headers=[("Content-Length", str(len(data)))])
                for event in (head, h11.Data(data=data), h11.EndOfMessage()):
                    writer.write(connection.send(event) or b"")
                connection.start_next_cycle()
        except (ConnectionError, EOFError, h11.RemoteProtocolError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _request(self, connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes]:
        request, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(1 << 16))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert request
                return request, body
            else:
                raise EOFError

    def _authenticate(self, headers: dict[bytes, bytes]) -> None:
        if self.token and headers.get(b"authorization") != f"Bearer {self.token}".encode():
            raise Refusal(401, "Unauthorized")

    def _answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Object:
        if path == GROUP and self.versions:
            return {"versions": [{"groupVersion": f"resource.k8s.io/{v}", "version": v} for v in self.versions]}
        match path.split("/")[1:]:
            case ["api", "v1", "namespaces", "default", "events", *names]:
                return self._event(method, names[0] if names else "", json.loads(body))
            case ["api", "v1", "nodes", name] if name in self.nodes:
                return _merge(self.nodes[name], json.loads(body)) if method == "PATCH" else self.nodes[name]
            case ["apis", "apps", "v1", "namespaces", namespace, "daemonsets", name] if (
                f"{namespace}/{name}" in self.daemon_sets
            ):
                return self.daemon_sets[f"{namespace}/{name}"]
            case ["apis", "resource.k8s.io", version, "resourceclaims"] if version in self.versions:
                return {"items": list(self.claims.values())}
            case ["apis", "resource.k8s.io", version, "namespaces", namespace, "resourceclaims", name] if (
                version in self.versions and (namespace, name) in self.claims
            ):
                return self.claims[namespace, name]
            case ["apis", "resource.k8s.io", version, "resourceslices", *names] if version in self.versions:
                assert (
                    names or method == "POST" or query["fieldSelector"] == "spec.nodeName=node-1,spec.driver=cdi-runc"
                )
                return self._slices(method, names[0] if names else "", json.loads(body) if body else {}, version)
        raise Refusal(404, "the server could not find the requested resource")

    def _event(self, method: str, name: str, body: Object) -> Object:
        if method == "PATCH":
            if name not in self.events:
                raise Refusal(404, "not found")
            return _merge(self.events[name], body)
        name = body["metadata"]["name"]
        assert body["metadata"]["namespace"] == "default"  # as for all that has no namespace
        assert "eventTime" not in body  # with it, much more would be checked
        assert len(name) <= 253
        assert len(body["message"]) <= 1024
        if name in self.events:
            raise Refusal(409, f'events "{name}" already exists')
        self.events[name] = body
        return body

    def _slices(self, method: str, name: str, body: Object, version: str) -> Object:
        if method == "GET":
            return {"metadata": {"resourceVersion": str(self._revision)}, "items": list(self.slices.values())}
        if method == "DELETE":
            if name not in self.slices:
                raise Refusal(404, "not found")
            self._change("DELETED", self.slices.pop(name))
            return {"kind": "Status"}
        name = body["metadata"]["name"]
        if self.conflicts:
            self.conflicts -= 1
            raise Refusal(409, "the object has been modified")
        if (method == "POST") == (name in self.slices):
            raise Refusal(409 if method == "POST" else 404, "already exists, or is not found")
        if method == "PUT" and body["metadata"]["resourceVersion"] != self.slices[name]["metadata"]["resourceVersion"]:
            raise Refusal(409, "the object has been modified")
        self._validate(body["spec"], version)
        self.slices[name] = self._kept(body)
        self._change("ADDED" if method == "POST" else "MODIFIED", self.slices[name])
        return self.slices[name]

    def _kept(self, body: Object) -> Object:
        kept: Object = json.loads(json.dumps(body))
        for device in kept["spec"].get("devices") or ():
            for field in self.drops:
                (device.get("basic") or device).pop(field, None)
            for taint in (device.get("basic") or device).get("taints", ()):
                taint["timeAdded"] = "2026-01-01T00:00:00Z"
        if "consumesCounters" in self.drops:
            kept["spec"].pop("sharedCounters", None)
        return kept

    def _validate(self, spec: Object, version: str) -> None:
        devices = spec.get("devices") or []
        flat = [device.get("basic") if version == "v1beta1" else device for device in devices]
        more = any({"taints", "consumesCounters"} & set(device) for device in flat)
        sets = spec.get("sharedCounters") or []
        faults = [
            (len(devices) > (64 if more else 128), "too many devices"),
            (bool(devices) and bool(sets), "devices and sharedCounters"),
            (len(sets) > 8 or any(len(each["counters"]) > 32 for each in sets), "too many counters"),
            (not all(_LABEL.fullmatch(device["name"]) for device in devices), "name"),
            (any(len(each["attributes"]) + len(each.get("capacity", ())) > 32 for each in flat), "attributes"),
            (not all(_ATTRIBUTE.fullmatch(key) for each in flat for key in each["attributes"]), "attribute's name"),
            (any(_too_long(value) for each in flat for value in each["attributes"].values()), "attribute's value"),
            (any(len(each.get("consumesCounters", ())) > 2 for each in flat), "too many counter sets"),
        ]
        for wrong, message in faults:
            if wrong:
                raise Refusal(422, f"ResourceSlice is invalid: {message}")

    def _change(self, kind: str, each: Object) -> None:
        self._revision += 1
        each["metadata"]["resourceVersion"] = str(self._revision)
        self._history.append((self._revision, {"type": kind, "object": json.loads(json.dumps(each))}))
        self._happened.set()
        self._happened = asyncio.Event()

    async def _watch(self, connection: h11.Connection, writer: asyncio.StreamWriter, since: int) -> None:
        head = h11.Response(status_code=200, headers=[("Transfer-Encoding", "chunked")])
        writer.write(connection.send(head) or b"")
        self._watches.add(writer)
        try:
            if since < self._oldest:
                gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
                writer.write(connection.send(h11.Data(data=json.dumps(gone).encode() + b"\n")) or b"")
                return
            while not writer.is_closing():
                for revision, event in list(self._history):
                    if revision > since:
                        since = revision
                        writer.write(connection.send(h11.Data(data=json.dumps(event).encode() + b"\n")) or b"")
                await self._happened.wait()
        finally:
            self._watches.discard(writer)


def _merge(into: Object, patch: Object) -> Object:
    """RFC 7386."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        else:
            into[key] = _merge(into.get(key) or {}, value) if isinstance(value, dict) else value
    return into


def _too_long(value: Object) -> bool:
    return len(str(value.get("string", "")).encode()) > 64
