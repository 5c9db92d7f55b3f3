"""Nothing in a model file is trusted: what is none, is damaged or made to do harm is refused in words."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import time
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.errors import ModelFileError
from bone_backend.model_files import archive
from bone_backend.model_files.model_file import load_state, read_header, save_model
from mocks.model_files import NETWORK, header_of, published, rewrite, small_state


@pytest.fixture
def good(tmp_path):
    return published(tmp_path / "good.pth", **NETWORK)


# --- files that are no model files, or no longer


def test_what_may_be_meant_by_a_model_that_is_not_there_is_told(good):
    with pytest.raises(ModelFileError, match=r"Did you mean .*good\.pth\?"):
        read_header(good.with_name("goood.pth"))
    run = good.parent / "femur"
    run.mkdir()
    (run / "BONe_best_epoch_1_val_jaccard_0.9.pth").touch()
    with pytest.raises(ModelFileError, match=r"In its folder there are femur, good\.pth\."):
        read_header(good.with_name("tibia"))
    with pytest.raises(ModelFileError, match=r"Its folder .* does not exist either"):
        read_header(good.parent / "runs" / "femur")


def test_a_missing_file_a_folder_and_an_empty_file_are_told_apart(tmp_path):
    with pytest.raises(
        ModelFileError, match=r"none\.pth does not exist; a model is a \.pth file, or .*run\.$"
    ):
        read_header(tmp_path / "none.pth")
    with pytest.raises(ModelFileError, match="is a folder"):
        read_header(tmp_path)
    (tmp_path / "empty.pth").touch()
    with pytest.raises(ModelFileError, match="is empty"):
        read_header(tmp_path / "empty.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no model file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"PK\x03\x04" + bytes(100), "cut off"),
        (b"PK\x03\x04" + bytes(100) + b"PK\x05\x06" + bytes(18), "no model file|damaged"),
        (pickle.dumps({"model_state": 1}), "no model file"),
    ],
)
def test_files_of_other_kinds_are_refused(tmp_path, content, message):
    (tmp_path / "m.pth").write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        read_header(tmp_path / "m.pth")


def test_torchs_old_format_is_refused_with_the_way_to_convert_it(tmp_path):
    torch.save(
        {"model_state": small_state(), "metadata": NETWORK},
        tmp_path / "old.pth",
        _use_new_zipfile_serialization=False,
    )
    with pytest.raises(ModelFileError, match=r"before 2020.*torch\.save"):
        read_header(tmp_path / "old.pth")


def test_an_ordinary_zip_archive_and_a_torchscript_program_are_refused(tmp_path, good):
    with zipfile.ZipFile(tmp_path / "z.pth", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(ModelFileError, match="no model file"):
        read_header(tmp_path / "z.pth")
    with pytest.raises(ModelFileError, match="TorchScript"):
        read_header(
            rewrite(
                good, tmp_path / "script.pth", {"constants.pkl": b"", "code/__torch__.py": b"def f(): pass"}
            )
        )


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, good):
    content = good.read_bytes()
    for length in range(1, len(content), 97):
        (tmp_path / "cut.pth").write_bytes(content[:length])
        with pytest.raises(ModelFileError):
            read_header(tmp_path / "cut.pth")


def assert_tensors_or_refused(path):
    """A file that is read gives tensors by name; whatever else it holds ends in a ModelFileError."""
    with contextlib.suppress(ModelFileError):
        state = load_state(path)
        assert all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_change_of_bytes_gives_anything_but_a_model_file_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    content = bytearray(published(folder / "m.pth", **NETWORK).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "m.pth").write_bytes(content)
    assert_tensors_or_refused(folder / "m.pth")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_change_of_the_pickle_gives_anything_but_a_model_file_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    source = published(folder / "m.pth", **NETWORK)
    text = bytearray(header_of(source))
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    assert_tensors_or_refused(rewrite(source, folder / "n.pth", {"data.pkl": bytes(text)}))


def test_a_name_with_an_unknown_escape_is_refused_without_a_warning(tmp_path, recwarn):
    source = published(tmp_path / "m.pth", **NETWORK)
    text = header_of(source).replace(b"collections\nOrderedDict\n", b"c\\ollection\nOrderedDict\n", 1)
    assert text != header_of(source)
    with pytest.raises(ModelFileError):
        load_state(rewrite(source, tmp_path / "n.pth", {"data.pkl": text}))
    assert not recwarn.list


def test_a_changed_weight_is_found_by_the_checksum(tmp_path):
    save_model(tmp_path / "m.pth", state=small_state(), metadata=NETWORK, bone={})
    with zipfile.ZipFile(tmp_path / "m.pth") as file:
        data = bytearray(file.read(next(name for name in file.namelist() if name.endswith("data/0"))))
    data[3] ^= 1
    with pytest.raises(ModelFileError, match="SHA-256"):
        load_state(rewrite(tmp_path / "m.pth", tmp_path / "n.pth", {"data/0": bytes(data)}))


# --- files made to do harm


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_code_in_a_file_is_named_and_not_run(tmp_path, good):
    mark = tmp_path / "ran"
    for content in (
        Evil(mark),
        {"model_state": small_state(), "metadata": NETWORK | {"version": Evil(mark)}},
    ):
        torch.save(content, tmp_path / "evil.pth")
        with pytest.raises(ModelFileError, match=r"holds code.*(posix|nt)\.system"):
            read_header(tmp_path / "evil.pth")
        with pytest.raises(ModelFileError, match="holds code"):
            load_state(tmp_path / "evil.pth", read_header(good))
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"\x80\x02(i__main__\nx\n.",
        b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93.",
        b"\x80\x02ctorch._utils\n_rebuild_device_tensor_from_numpy\n.",
        b"\x80\x02ctorch.storage\n_load_from_bytes\n.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\n.",
        b"\x80\x02\x82\x01.",
        b"Pos.system\n.",
        b"\x80\x05\x97.",
    ],
)
def test_every_other_way_to_name_an_object_is_refused(tmp_path, good, text):
    with pytest.raises(ModelFileError, match=r"holds code|holds objects|damaged"):
        read_header(rewrite(good, tmp_path / "m.pth", {"data.pkl": text}))


def test_a_whole_pickled_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "network.pth")
    with pytest.raises(ModelFileError, match="objects of another program"):
        read_header(tmp_path / "network.pth")


def swap_in_header(source: Path, target: Path, old: bytes, new: bytes) -> Path:
    text = header_of(source)
    assert old in text
    return rewrite(source, target, {"data.pkl": text.replace(old, new, 1)})


def test_a_shape_larger_than_its_data_is_refused_before_memory_is_taken(tmp_path, good):
    four = b"(K\x04K\x01K\x03K\x03t"  # shape (4, 1, 3, 3)
    huge = b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fK\x03K\x03t"
    with pytest.raises(ModelFileError, match=r"damaged.*shape"):
        read_header(swap_in_header(good, tmp_path / "m.pth", four, huge))


def test_a_tensor_expanded_without_data_is_refused(tmp_path):
    state = small_state() | {"encoder.extra": torch.zeros(1).expand(1 << 34)}
    with pytest.raises(ModelFileError, match="only 1 values"):
        read_header(published(tmp_path / "m.pth", state, **NETWORK))


def test_a_storage_that_claims_more_than_it_holds_is_refused(tmp_path, good):
    with pytest.raises(ModelFileError, match="claims 2147483647 values where it holds 36"):
        read_header(swap_in_header(good, tmp_path / "m.pth", b"K$t", b"J\xff\xff\xff\x7ft"))


def test_a_negative_or_huge_place_of_a_tensor_is_refused(tmp_path, good):
    for offset in (b"J\xff\xff\xff\xff", b"M\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x7f"):
        text = header_of(good)
        place = text.index(b"QK\x00") + 1
        changed = text[:place] + offset + text[place + 2 :]
        with pytest.raises(ModelFileError, match="damaged"):
            read_header(rewrite(good, tmp_path / "m.pth", {"data.pkl": changed}))


def test_a_compressed_archive_is_refused_whatever_it_would_unpack_to(tmp_path, good):
    bomb = rewrite(good, tmp_path / "bomb.pth", {"data/0": bytes(50 << 20)}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(ModelFileError, match="compressed"):
        read_header(bomb)


def test_entries_that_lie_over_each_other_are_refused(tmp_path, good):
    """All directory entries of an archive point to the same large part: small file, much data."""
    parts = {"data/0": bytes(300_000)} | {f"data/{number}": b"" for number in range(10, 30)}
    content = bytearray(rewrite(good, tmp_path / "m.pth", parts).read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        large = next(item for item in file.infolist() if item.file_size == 300_000)
    place = content.index(b"PK\x01\x02")
    while (place := content.find(b"PK\x01\x02", place)) >= 0:
        if struct.unpack_from("<I", content, place + 24)[0] == 0:
            struct.pack_into("<III", content, place + 16, large.CRC, 300_000, 300_000)
            struct.pack_into("<I", content, place + 42, large.header_offset)
        place += 4
    (tmp_path / "m.pth").write_bytes(content)
    with pytest.raises(ModelFileError, match="more data than the file holds"):
        read_header(tmp_path / "m.pth")


def end_of(content: bytes) -> tuple[int, int, int]:
    """Of a file of zipfile: where its table of contents begins, its length, its entries."""
    entries, length, start = struct.unpack_from("<HII", content, len(content) - 12)
    return start, length, entries


def test_two_tables_of_contents_are_refused(tmp_path, good):
    """Python reads the table before the end record, torch the one where the record says; one is checked."""
    bomb = {"data/0": bytes(50 << 20)}
    evil = rewrite(good, tmp_path / "evil.pth", bomb, compression=zipfile.ZIP_DEFLATED).read_bytes()
    harmless = rewrite(good, tmp_path / "harmless.pth", {}).read_bytes()
    (start, length, entries), (second, other, _) = end_of(evil), end_of(harmless)
    assert other == length
    table = bytearray(harmless[second:-22])
    # Python adds what it finds between the two places to every offset
    between = length + second
    place = 0
    while (place := table.find(b"PK\x01\x02", place)) >= 0:
        (offset,) = struct.unpack_from("<I", table, place + 42)
        struct.pack_into("<I", table, place + 42, offset + start + length - between)
        place += 4
    record = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, entries, entries, length, start, 0)
    both = evil[:-22] + harmless[:second] + table + record
    (tmp_path / "m.pth").write_bytes(both)
    with zipfile.ZipFile(tmp_path / "m.pth") as file:  # it sees nothing of the bomb
        assert sum(item.file_size for item in file.infolist()) < 10_000
    with pytest.raises(ModelFileError, match="table of contents is not where it should be"):
        read_header(tmp_path / "m.pth")


def test_a_zip64_record_elsewhere_than_before_its_pointer_is_refused(tmp_path, good):
    """Python reads the record before its pointer, torch the one it points to."""
    content = good.read_bytes()
    record = content[-98:-42]
    assert record.startswith(b"PK\x06\x06")
    pointer = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(content) - 98, 1)
    (tmp_path / "m.pth").write_bytes(content[:-42] + record + pointer + content[-22:])
    with pytest.raises(ModelFileError, match="table of contents is not where"):
        read_header(tmp_path / "m.pth")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"PK\x01\x02"),
        (6, b"\x01"),
        (8, b"\x08"),
        (18, b"\x01\x02"),
        (22, b"\x01\x02"),
        (30, b"G"),
        (26, b"\x01"),
    ],
)
def test_a_part_that_contradicts_the_table_of_contents_is_not_loaded(tmp_path, good, place, value):
    with zipfile.ZipFile(good) as file:
        start = next(item.header_offset for item in file.infolist() if item.filename.endswith("data/0"))
    content = bytearray(good.read_bytes())
    content[start + place : start + place + len(value)] = value
    (tmp_path / "m.pth").write_bytes(content)
    with pytest.raises(ModelFileError, match="data/0 is not what the table of contents says"):
        load_state(tmp_path / "m.pth")


@pytest.mark.parametrize("attributes", [0x10, 0xFF, 0x41ED0010])
def test_a_part_that_is_marked_as_a_folder_is_refused(tmp_path, good, attributes):
    """torch would give whatever the memory held before in place of its weights."""
    content = bytearray(good.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 38 : at + 42] = attributes.to_bytes(4, "little")
    (tmp_path / "m.pth").write_bytes(content)
    with pytest.raises(ModelFileError, match="is marked as a folder"):
        read_header(tmp_path / "m.pth")


@pytest.mark.parametrize("more", [b"x", b"PK\x05\x06" + bytes(18)])
def test_something_after_the_end_of_the_archive_is_refused(tmp_path, good, more):
    (tmp_path / "m.pth").write_bytes(good.read_bytes() + more)
    with pytest.raises(ModelFileError, match="damaged"):
        read_header(tmp_path / "m.pth")


def test_a_comment_of_the_archive_is_refused(tmp_path, good):
    """Two readers that search a comment for the end record can find two."""
    with zipfile.ZipFile(rewrite(good, tmp_path / "m.pth", {}), "a") as file:
        file.comment = b"hello"
    with pytest.raises(ModelFileError, match="damaged"):
        read_header(tmp_path / "m.pth")


def test_parts_whose_names_differ_in_case_only_are_refused(tmp_path, good):
    with pytest.raises(ModelFileError, match=r"DATA\.PKL twice"):
        read_header(rewrite(good, tmp_path / "m.pth", {"DATA.PKL": b"\x80\x02}."}))


def test_a_part_with_another_name_for_python_than_for_torch_is_refused(tmp_path, good):
    content = rewrite(good, tmp_path / "m.pth", {"data.pkl+": b""}).read_bytes()
    (tmp_path / "m.pth").write_bytes(content.replace(b"data.pkl+", b"data.pkl\0"))
    with pytest.raises(ModelFileError, match="two names"):
        read_header(tmp_path / "m.pth")


def test_a_part_that_is_there_twice_is_refused(tmp_path, good):
    with zipfile.ZipFile(good, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr(next(name for name in file.namelist() if name.endswith("data.pkl")), b"\x80\x02}.")
    with pytest.raises(ModelFileError, match="twice"):
        read_header(good)


def test_more_entries_than_a_model_has_are_refused_before_they_are_read(tmp_path, good):
    many = rewrite(good, tmp_path / "many.pth", {f"data/{n}": b"" for n in range(archive.MOST_ENTRIES + 1)})
    with pytest.raises(ModelFileError, match="parts"):
        read_header(many)


def test_a_header_that_is_too_large_is_refused(tmp_path, good):
    with pytest.raises(ModelFileError, match="header of"):
        read_header(rewrite(good, tmp_path / "m.pth", {"data.pkl": bytes(archive.MOST_PICKLE_BYTES + 1)}))


def test_values_that_hold_themselves_or_multiply_without_end_are_refused(tmp_path):
    loop: list = []
    loop.append(loop)
    with pytest.raises(ModelFileError, match="without end"):
        read_header(published(tmp_path / "m.pth", **NETWORK, train_dataset=loop))
    laughs: list = ["lol"]
    for _ in range(10):
        laughs = [laughs] * 10
    with pytest.raises(ModelFileError, match="without end"):
        read_header(published(tmp_path / "m.pth", **NETWORK, train_dataset=laughs))


LAUGHS = b"X\x04\0\0\0evilq\0" + b"".join(
    b"(" + (b"h" + bytes([level])) * 10 + b"tq" + bytes([level + 1]) for level in range(30)
)  # 10**30 times "evil", as place 30 of the memo
STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQ"


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS + b"X\x01\0\0\0a\x93.",  # as the module of a function
        LAUGHS + b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"K\0h\x1eK\x01\x85tR.",  # as a shape
        LAUGHS
        + b"ctorch._utils\n_rebuild_tensor_v2\n("
        + STORAGE
        + b"K\0h\x1e\x85K\x01\x85tR.",  # inside one
        LAUGHS + b"c" + b"x" * (1 << 20) + b"\neval\n.",
        b"S" + b"x" * (1 << 20) + b"\n.",
    ],
)
def test_no_message_shows_a_value_that_multiplies_without_end(tmp_path, good, text):
    with pytest.raises(ModelFileError) as caught:
        read_header(rewrite(good, tmp_path / "m.pth", {"data.pkl": b"\x80\x02" + text}))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("key", ["num_classes", "normalization", "mode", "backbone", "train_dataset"])
def test_a_long_text_repeated_many_times_is_refused_before_it_is_written_out(tmp_path, key):
    many = ["x" * 1_000_000] * 1000
    with pytest.raises(ModelFileError, match="texts of more than") as caught:
        read_header(published(tmp_path / "m.pth", **{**NETWORK, key: many}))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("value", ["x" * 1_000_000, ["x" * 1000] * 1000], ids=["text", "list"])
@pytest.mark.parametrize(
    "key", ["num_classes", "in_channels", "normalization", "mode", "backbone", "model_arch", "stride"]
)
def test_a_long_value_is_shortened_in_the_message(tmp_path, key, value):
    with pytest.raises(ModelFileError) as caught:
        read_header(published(tmp_path / "m.pth", **{**NETWORK, key: value}))
    assert len(str(caught.value)) < 500


def test_a_header_takes_no_longer_than_its_bytes(tmp_path, good):
    """What lies deep in the stack, or is taken from the memo, is not walked through again and again."""
    size = archive.MOST_PICKLE_BYTES - 100
    deep = b"N" * (size // 4) + b"(t" * (size * 3 // 8) + b"."
    sizes = b"(" + b"N" * 200_000 + b"tq\0ctorch\nSize\nq\1" + b"h\1h\0\x85R0" * 40_000 + b"."
    pairs = (
        b"](" + b"N\x85" * 100_000 + b"eq\0ccollections\nOrderedDict\nq\1" + b"h\1h\0\x85R0" * 40_000 + b"."
    )
    started = time.perf_counter()
    for text in (deep, sizes, pairs):
        with pytest.raises(ModelFileError):
            read_header(rewrite(good, tmp_path / "m.pth", {"data.pkl": b"\x80\x02" + text}))
    assert time.perf_counter() - started < 30  # 0.6 s; it was hours


def test_keys_chosen_to_have_one_hash_are_refused(tmp_path):
    keys = {number * ((1 << 61) - 1): None for number in range(1, 10)}
    with pytest.raises(ModelFileError, match="large number"):
        read_header(published(tmp_path / "m.pth", **NETWORK, peak_vram_GB=keys))


def test_views_of_one_storage_that_would_multiply_the_memory_are_refused(tmp_path):
    large = torch.zeros(200, 500)
    state = small_state() | {f"decoder.x{number}": large.t() for number in range(10)}
    with pytest.raises(ModelFileError, match="claims weights of 4000464 bytes, but the file holds 400464"):
        read_header(published(tmp_path / "m.pth", state, **NETWORK))


def test_a_tensor_with_an_endless_name_is_refused(tmp_path):
    state = small_state() | {"module." * 100 + "x": torch.zeros(1)}
    with pytest.raises(ModelFileError, match="name of 701 characters"):
        read_header(published(tmp_path / "m.pth", state, **NETWORK))


def test_a_number_in_the_metadata_cannot_make_the_reader_load_a_large_part(tmp_path):
    with pytest.raises(ModelFileError, match="number with the data of many"):
        read_header(published(tmp_path / "m.pth", **NETWORK, best_val_score=torch.zeros(1000)[3]))
    with pytest.raises(ModelFileError, match="TensorFacts"):
        read_header(published(tmp_path / "m.pth", **NETWORK, best_val_score=torch.zeros(1000)))


def test_one_number_named_many_times_is_read_once(tmp_path):
    path = published(tmp_path / "m.pth", **NETWORK, train_dataset=[torch.tensor(0.5)] * 100)
    single = published(tmp_path / "one.pth", **NETWORK, train_dataset=[torch.tensor(0.5)])
    read = []
    for item in (path, single):
        with item.open("rb") as file:
            counted = Counting(file)
            archive.read_parts(counted, item.name)
            read.append(counted.bytes_read)
    assert read[0] < read[1] + 1000
    assert read_header(path).metadata["train_dataset"] == [0.5] * 100


def test_a_byte_order_of_many_bytes_is_refused(tmp_path, good):
    with pytest.raises(ModelFileError, match="order of bytes"):
        read_header(rewrite(good, tmp_path / "m.pth", {"byteorder": b"little" + bytes(1 << 20)}))


def test_the_header_is_read_without_the_weights(tmp_path):
    state = small_state() | {"encoder.large": torch.zeros(1 << 22)}
    path = published(tmp_path / "m.pth", state, **NETWORK)
    content = bytearray(path.read_bytes())
    with path.open("rb") as file:
        counted = Counting(file)
        archive.read_parts(counted, "m.pth")
    assert len(content) > 16 << 20
    assert counted.bytes_read < 200_000


class Counting(io.RawIOBase):
    """A file that counts what is read from it."""

    def __init__(self, file):
        self.file, self.bytes_read = file, 0

    def read(self, size=-1):
        data = self.file.read(size)
        self.bytes_read += len(data)
        return data

    def seek(self, *place):
        return self.file.seek(*place)

    def tell(self):
        return self.file.tell()

    def seekable(self):
        return True
