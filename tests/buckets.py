"""A bucket in memory that answers to gs://, counts requests, and can fail: no package is needed."""

import asyncio
import base64
import datetime
import hashlib
import importlib
import io
import itertools
from contextlib import contextmanager

import fsspec
from etils.epath import backend
from fsspec.asyn import AsyncFileSystem

REGISTERED = importlib.import_module("fsspec.registry")._registry  # the package hides the module


class Store:
    """What all file systems of a bucket share.

    Attributes:
        files: name, such as "b/x.npy" -> bytes.
        asked: name, start and end of each request for bytes.
        faults: name -> errors that the next requests for it raise, one after another.
        delay: seconds of a request.
        most: requests that were under way at once.
    """

    def __init__(self):
        self.files, self.about, self.asked, self.faults = {}, {}, [], {}
        self.delay = self.most = self.under_way = 0
        self.generations = itertools.count(1)

    def put(self, name, content):
        self.files[name] = bytes(content)
        now = datetime.datetime.now(datetime.UTC)
        md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
        self.about[name] = {"mtime": now, "generation": next(self.generations), "md5Hash": md5}

    @property
    def bytes(self):
        """How many were asked for."""
        return sum(stop - start for _, start, stop in self.asked)


class Bucket(AsyncFileSystem):
    protocol = ("gs", "gcs")
    cachable = False
    store = None  # a `Store`, set while a bucket is open

    async def _cat_file(self, path, start=None, end=None, **_):
        store, name = self.store, self._strip_protocol(path)
        size = (await self._info(name))["size"]
        start, end = start or 0, size if end is None else end
        store.asked.append((name, start, end))
        store.under_way += 1
        store.most = max(store.most, store.under_way)
        try:
            await asyncio.sleep(store.delay)
            if store.faults.get(name):
                raise store.faults[name].pop(0)
            return store.files[name][start:end]
        finally:
            store.under_way -= 1

    async def _info(self, path, **_):
        name = self._strip_protocol(path)
        if name in self.store.files:
            size = len(self.store.files[name])
            return {"name": name, "size": size, "type": "file", **self.store.about[name]}
        if any(file.startswith(f"{name}/") for file in self.store.files) or "/" not in name:
            return {"name": name, "size": 0, "type": "directory"}
        raise FileNotFoundError(name)

    async def _ls(self, path, detail=True, **_):
        name = self._strip_protocol(path)
        below = {
            "/".join(file.split("/")[: name.count("/") + 2])
            for file in self.store.files
            if file.startswith(f"{name}/")
        }
        found = [await self._info(each) for each in sorted(below)]
        return found if detail else [each["name"] for each in found]

    async def _put_file(self, lpath, rpath, callback=None, mode="overwrite", **_):
        name = self._strip_protocol(rpath)
        if mode == "create" and name in self.store.files:
            raise FileExistsError(name)
        if self.store.faults.get(name):
            raise self.store.faults[name].pop(0)
        with open(lpath, "rb") as file:
            self.store.put(name, file.read())

    async def _pipe_file(self, path, value, **_):
        self.store.put(self._strip_protocol(path), value)

    async def _rm_file(self, path, **_):
        del self.store.files[self._strip_protocol(path)]

    async def _cp_file(self, path1, path2, **_):
        name = self._strip_protocol(path1)
        self.store.put(self._strip_protocol(path2), self.store.files[name])

    async def _mkdir(self, path, create_parents=True, **_):
        """Buckets have no folders."""

    async def _makedirs(self, path, exist_ok=False):
        """Buckets have no folders."""

    def _open(self, path, mode="rb", **_):
        store, name = self.store, self._strip_protocol(path)
        if mode != "rb":
            return _Written(store, name)
        if name not in store.files:
            raise FileNotFoundError(name)
        store.asked.append((name, 0, len(store.files[name])))  # who opens one reads it all
        return io.BytesIO(store.files[name])


class _Written(io.BytesIO):
    def __init__(self, store, name):
        super().__init__()
        self._store, self._name = store, name

    def close(self):
        if not self.closed:
            self._store.put(self._name, self.getvalue())
        super().close()


@contextmanager
def bucket():
    """A store that gs:// leads to, while entered; what else was under that name comes back."""
    names = ("gs", "gcs")
    before = {name: REGISTERED.get(name) for name in names}
    Bucket.store = Store()
    for name in names:
        fsspec.register_implementation(name, Bucket, clobber=True)
    backend.fsspec_backend._get_filesystem.cache_clear()
    try:
        yield Bucket.store
    finally:
        for name in names:
            REGISTERED.pop(name, None)
            if before[name] is not None:
                REGISTERED[name] = before[name]
        backend.fsspec_backend._get_filesystem.cache_clear()
        Bucket.store = None
