from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from secateur.core.errors import DataError
from secateur.training.data import cache_folder, fetch
from secateur.training.data.fetch import SOURCES, Source


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", folder
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def _serve(monkeypatch: pytest.MonkeyPatch, *sources: Source) -> None:
    monkeypatch.setitem(SOURCES, "toy", sources)


def _sha256(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def test_the_right_checksum_is_kept_in_the_cache(
    server: tuple[str, Path], nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = server
    (folder / "input.txt").write_bytes(b"hello")
    _serve(monkeypatch, Source(f"{url}/input.txt", _sha256(b"hello")))
    assert fetch("toy") == cache_folder() / "toy"
    assert (cache_folder() / "toy/input.txt").read_bytes() == b"hello"
    (folder / "input.txt").unlink()  # a second call must not need the network
    assert fetch("toy") == cache_folder() / "toy"


def test_the_wrong_checksum_is_not_kept(server: tuple[str, Path], nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = server
    (folder / "input.txt").write_bytes(b"tampered")
    _serve(monkeypatch, Source(f"{url}/input.txt", _sha256(b"hello")))
    with pytest.raises(DataError, match="does not have the checksum sha256:2cf24dba"):
        fetch("toy", nowhere)
    assert list(nowhere.iterdir()) == []


def _archive(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_only_the_named_members_are_unpacked(server: tuple[str, Path], nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = server
    raw = _archive(("set/a.bin", b"a"), ("../../outside", b"x"), ("set/other", b"y"))
    (folder / "set.tar.gz").write_bytes(raw)
    _serve(monkeypatch, Source(f"{url}/set.tar.gz", _sha256(raw), ("set/a.bin",)))
    fetch("toy", nowhere)
    assert sorted(p.name for p in nowhere.iterdir()) == ["a.bin", "set.tar.gz"]
    _serve(monkeypatch, Source(f"{url}/set.tar.gz", _sha256(raw), ("set/b.bin",)))
    with pytest.raises(DataError, match=r"set/b\.bin"):
        fetch("toy", nowhere)


def test_no_network_is_one_sentence(server: tuple[str, Path], nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, _ = server
    _serve(monkeypatch, Source(f"{url}/absent", _sha256(b"")))
    with pytest.raises(DataError, match=r"could not be fetched from .*absent.*404.*--data"):
        fetch("toy", nowhere)
    _serve(monkeypatch, Source("http://127.0.0.1:1/x", _sha256(b"")))
    with pytest.raises(DataError, match=r"could not be fetched from .* \(ConnectionError"):
        fetch("toy", nowhere)


def test_an_unwritable_folder_is_one_sentence(server: tuple[str, Path], nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = server
    (folder / "input.txt").write_bytes(b"hello")
    _serve(monkeypatch, Source(f"{url}/input.txt", _sha256(b"hello")))
    (nowhere / "file").touch()
    with pytest.raises(DataError, match="mend the network or the folder"):
        fetch("toy", nowhere / "file")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(DataError, match=r"did you mean 'mnist'\?"):
        fetch("minst")


def test_every_source_is_https_with_a_checksum() -> None:
    for source in (s for sources in SOURCES.values() for s in sources):
        assert source.url.startswith("https://")
        kind, _, value = source.checksum.partition(":")
        assert len(value) == {"md5": 32, "sha256": 64}[kind]
