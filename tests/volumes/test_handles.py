"""Reading by position: never too many open files, any number of threads, with and without `pread`."""

import os
import threading

import numpy as np
import pytest

from bone_backend.errors import ScanError
from bone_backend.volumes.handles import HANDLES, Handles, PositionalFile, PositionalReader, SeekingFile

KINDS = [SeekingFile] + ([PositionalFile] if hasattr(os, "pread") else [])


@pytest.fixture
def files(tmp_path):
    """40 files of 1,000 bytes; byte i of file n is (n + i) % 256."""
    paths = [tmp_path / f"{n}" for n in range(40)]
    for n, path in enumerate(paths):
        path.write_bytes(expected(n, 0, 1000))
    return paths


def expected(n, offset, count):
    return bytes((np.arange(offset, offset + count) + n).astype(np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_many_files_are_read_through_few_handles(files, kind):
    handles = Handles(4, kind)
    reader = PositionalReader(files, handles)
    for n in [*range(40), *range(39, -1, -1)]:
        buffer = bytearray(10)
        reader.read(n, n, memoryview(buffer))
        assert buffer == expected(n, n, 10)
        assert len(handles) <= 4
    reader.close()
    assert len(handles) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_threads_share_few_handles(files, kind):
    handles = Handles(3, kind)
    reader = PositionalReader(files, handles)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(400):
            n, offset = int(rng.integers(40)), int(rng.integers(900))
            buffer = bytearray(100)
            reader.read(n, offset, memoryview(buffer))
            if buffer != expected(n, offset, 100):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(handles) <= 3 + 6  # a handle in use is never closed


def test_a_reader_that_is_dropped_gives_its_handles_back(files):
    handles = Handles(10)
    reader = PositionalReader(files, handles)
    reader.read(0, 0, memoryview(bytearray(1)))
    assert len(handles) == 1
    del reader
    other = PositionalReader(files, handles)
    other.read(1, 0, memoryview(bytearray(1)))
    other.close()
    assert len(handles) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_a_file_is_an_error_that_names_it(files, kind):
    reader = PositionalReader(files, Handles(4, kind))
    with pytest.raises(ScanError, match=r"7: ends after 1000 bytes, but 1005 are expected"):
        reader.read(7, 995, memoryview(bytearray(10)))
    files[8].unlink()
    with pytest.raises(ScanError, match="8: cannot be read any more"):
        reader.read(8, 0, memoryview(bytearray(10)))


def test_reading_goes_on_after_a_short_read(files):
    """The system may give fewer bytes than asked for (it never gives more than 2 GiB)."""

    class Slow(SeekingFile):
        def read_some(self, buffer, offset):
            return super().read_some(buffer[:3], offset)

    buffer = bytearray(10)
    PositionalReader(files, Handles(4, Slow)).read(2, 5, memoryview(buffer))
    assert buffer == expected(2, 5, 10)


def test_the_process_stays_below_the_usual_limit_of_open_files():
    assert HANDLES.limit <= 256
