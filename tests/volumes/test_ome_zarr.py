"""OME-Zarr: read as Zarr's own library wrote it, and written so that this library reads it."""

import json
import shutil
import struct
import zlib

import numpy as np
import pytest

from bone_backend.errors import OutputError, ScanError
from bone_backend.pairing.names import volumes_in
from bone_backend.volumes.header import Header, LabelClass
from bone_backend.volumes.ome_zarr import reading, writing
from bone_backend.volumes.ome_zarr.checksum import crc32c
from bone_backend.volumes.ome_zarr.codecs import Codecs
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import create, open_volume, peek, save, storage_of

SHAPE = (37, 50, 61)
GREY = np.cumsum(np.random.default_rng(0).integers(-3, 4, SHAPE), axis=2).astype(np.int16)
CLASSES = (
    LabelClass(0, "background", "#000000"),
    LabelClass(1, "trabecular bone", "#e69f00"),
    LabelClass(2, "pores", None),
)


@pytest.fixture(scope="module")
def zarr():
    return pytest.importorskip("zarr")


def array_of(zarr, path, array=GREY, **settings):
    made = zarr.create_array(
        str(path), shape=array.shape, dtype=array.dtype, **({"chunks": (16, 20, 30)} | settings)
    )
    made[:] = array
    return path


def assert_holds(path, array):
    with open_volume(path) as volume:
        assert volume.header.shape == array.shape
        assert volume.header.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(volume.read(0, len(array)), array)
        np.testing.assert_array_equal(volume.read(5, 11), array[5:11])
        np.testing.assert_array_equal(volume.read(4, 5), array[4:5])
        parts = [volume.read(*slab) for slab in volume.slabs(20_000)]
        np.testing.assert_array_equal(np.concatenate(parts), array)


@pytest.mark.parametrize("dtype", ["<i2", ">i2"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("packed", ["", "Blosc", "Zlib", "GZip", "Zstd", "LZ4", "BZ2", "LZMA"])
def test_arrays_of_zarr_2_are_read(tmp_path, zarr, packed, order, dtype):
    import numcodecs

    compressor = getattr(numcodecs, packed)() if packed else None
    separator = "/" if order == "C" else "."
    path = array_of(
        zarr,
        tmp_path / "a.zarr",
        GREY.astype(dtype),
        zarr_format=2,
        compressors=compressor,
        order=order,
        chunk_key_encoding={"name": "v2", "separator": separator},
    )
    assert_holds(path, GREY)


def third(zarr):
    codecs = zarr.codecs
    return {
        "plain": {"compressors": None},
        "zstd": {"compressors": codecs.ZstdCodec(level=3, checksum=True)},
        "gzip": {"compressors": codecs.GzipCodec()},
        "blosc": {"compressors": codecs.BloscCodec()},
        "checksum": {"compressors": [codecs.ZstdCodec(), codecs.Crc32cCodec()]},
        "checksum alone": {"compressors": [codecs.Crc32cCodec()]},
        "turned": {"filters": [codecs.TransposeCodec(order=(2, 0, 1))]},
        "big": {"serializer": codecs.BytesCodec(endian="big")},
        "shards": {"shards": (32, 40, 60)},
        "shards with checksum": {"shards": (32, 40, 60), "compressors": [codecs.Crc32cCodec()]},
        "index first": {"shards": {"shape": (32, 40, 60), "index_location": "start"}},
        "old keys": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
        "dots": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    }


@pytest.mark.parametrize("way", range(13))
def test_arrays_of_zarr_3_are_read(tmp_path, zarr, way):
    settings = [*third(zarr).values()][way]
    assert_holds(array_of(zarr, tmp_path / "a.zarr", zarr_format=3, **settings), GREY)


def test_chunks_that_are_not_there_are_the_fill_value(tmp_path, zarr, caplog):
    for number, settings in enumerate(({}, {"shards": (32, 40, 60)})):
        path = tmp_path / f"{number}.zarr"
        array = zarr.create_array(
            str(path), shape=SHAPE, chunks=(16, 20, 30), dtype="i2", fill_value=7, **settings
        )
        array[3:5] = 1
        right = np.full(SHAPE, 7, np.int16)
        right[3:5] = 1
        assert_holds(path, right)
        assert not caplog.records
    zarr.create_array(str(tmp_path / "empty.zarr"), shape=SHAPE, chunks=(16, 20, 30), dtype="i2")
    open_volume(tmp_path / "empty.zarr").close()
    assert "none of its chunks is there" in caplog.text


def image_of(zarr, path, array, *, axes, version=2, scale=None, more=None):
    """An image with two scales, by Zarr's own library."""
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    names = [axis if isinstance(axis, str) else axis["name"] for axis in axes]
    half = array[tuple(slice(None, None, 2) if name in "zyx" else slice(None) for name in names)]
    for name, values in (("full", array), ("half", half)):
        made = group.create_array(
            name, shape=values.shape, chunks=(1,) * (array.ndim - 3) + (16, 20, 30), dtype="i2"
        )
        made[:] = values
    sizes = scale or [1.0] * array.ndim
    doubled = [size * 2 if name in "zyx" else size for size, name in zip(sizes, names, strict=True)]
    image = {
        "axes": axes,
        "datasets": [
            {"path": name, "coordinateTransformations": [{"type": "scale", "scale": values}]}
            for name, values in (("full", sizes), ("half", doubled))
        ],
    }
    told = {"multiscales": [image], **(more or {})}
    if version == 2:
        group.attrs.update(told)
    else:
        group.attrs["ome"] = {"version": "0.5", **told}
    return path


def space(unit="micrometer", names="zyx"):
    return [{"name": name, "type": "space", "unit": unit} for name in names]


@pytest.mark.parametrize("version", [2, 3])
def test_the_finest_scale_is_read_or_the_one_that_is_named(tmp_path, zarr, version):
    path = image_of(zarr, tmp_path / "a.ome.zarr", GREY, axes=space(), version=version, scale=[3.0, 2.0, 2.5])
    assert_holds(path, GREY)
    assert_holds(f"{path}#half", GREY[::2, ::2, ::2])
    assert peek(path).voxel_size_um == (3.0, 2.0, 2.5)
    assert peek(f"{path}#half").voxel_size_um == (6.0, 4.0, 5.0)
    assert (peek(path).name, peek(f"{path}#half").name) == ("a", "a_half")
    assert storage_of(path).compression in ("Zstandard", "Blosc")
    with pytest.raises(
        ScanError, match=r"nothing called third. There are a.ome.zarr#full, a.ome.zarr#half\."
    ):
        open_volume(f"{path}#third")


def test_axes_and_units_are_honoured(tmp_path, zarr):
    five = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *space("millimeter")]
    path = image_of(zarr, tmp_path / "five.zarr", GREY[None, None], axes=five, scale=[1, 1, 0.3, 0.2, 0.2])
    assert_holds(path, GREY)
    assert peek(path).voxel_size_um == pytest.approx((300, 200, 200))
    turned = image_of(
        zarr, tmp_path / "x.zarr", GREY.transpose(2, 0, 1), axes=space(names="xzy"), scale=[1.0, 2.0, 3.0]
    )
    assert_holds(turned, GREY)
    assert peek(turned).voxel_size_um == (2.0, 3.0, 1.0)
    mixed = [{"name": "z", "unit": "millimeter"}, *space()[1:]]
    assert peek(
        image_of(zarr, tmp_path / "m.zarr", GREY, axes=mixed, scale=[0.002, 3.0, 4.0])
    ).voxel_size_um == (pytest.approx((2.0, 3.0, 4.0)))
    unknown = image_of(zarr, tmp_path / "u.zarr", GREY, axes=["z", "y", "x"])
    assert peek(unknown).voxel_size is None
    assert peek(image_of(zarr, tmp_path / "n.zarr", GREY, axes=["z", "y", "x"], scale=[2, 1, 1])).unit == ""
    several = image_of(zarr, tmp_path / "s.zarr", np.stack([GREY, GREY]), axes=[{"name": "c"}, *space()])
    with pytest.raises(ScanError, match="has 2 along c"):
        open_volume(several)


def test_classes_of_a_label_image_are_read(tmp_path, zarr):
    label = {
        "colors": [{"label-value": 1, "rgba": [230, 159, 0, 255]}, {"label-value": 9, "rgba": [1, 2]}],
        "properties": [{"label-value": 1, "name": "bone"}, {"label-value": 2, "class": "marrow"}],
    }
    path = image_of(zarr, tmp_path / "a.zarr", GREY, axes=space())
    image_of(zarr, path / "labels" / "bones", GREY, axes=space(), more={"image-label": label})
    zarr.open_group(str(path / "labels"), mode="a", zarr_format=2).attrs["labels"] = ["bones"]
    assert peek(path).classes == ()
    assert peek(f"{path}#labels/bones").classes == (
        LabelClass(1, "bone", "#e69f00"),
        LabelClass(2, "marrow", None),
        LabelClass(9, "class 9", None),
    )
    with pytest.raises(ScanError, match=r"a.zarr#labels/bones\."):
        open_volume(f"{path}#labels/teeth")


def labels():
    made = np.zeros((150, 260, 270), np.uint8)
    made[20:100, 30:200, 40:250] = 1
    made[40:60, 50:70, 60:90] = 2
    return made


def write_labels(path, **settings):
    made = labels()
    header = Header("lab", made.shape, made.dtype, (10.0, 5.0, 5.0), "um", (1.0, 2.0, 3.0), classes=CLASSES)
    with create(path, header, **settings) as writer:
        for z in range(0, 150, 13):
            writer.write(made[z : z + 13])


def test_labels_are_written_with_names_and_colours_in_several_scales(tmp_path, zarr):
    path = tmp_path / "lab.ome.zarr"
    write_labels(path)
    for inside in ("", "#labels/segmentation", "#labels/segmentation/0"):
        assert_holds(f"{path}{inside}", labels())
        header = peek(f"{path}{inside}")
        assert (header.voxel_size_um, header.origin, header.classes) == ((10, 5, 5), (1, 2, 3), CLASSES)
    group = zarr.open_group(str(path), mode="r")
    assert group["labels"].attrs["labels"] == ["segmentation"]
    label = group["labels/segmentation"]
    image = label.attrs["multiscales"][0]
    assert image["version"] == "0.4"
    assert [axis["unit"] for axis in image["axes"]] == ["micrometer"] * 3
    for number, entry in enumerate(image["datasets"]):
        step = 2**number
        np.testing.assert_array_equal(label[entry["path"]][:], labels()[::step, ::step, ::step])
        scale, moved = entry["coordinateTransformations"]
        assert scale["scale"] == [10 * step, 5 * step, 5 * step]
        assert moved["translation"] == [1, 2, 3]
    assert len(image["datasets"]) == 3
    told = label.attrs["image-label"]
    assert told["colors"][:2] == [
        {"label-value": 0, "rgba": [0, 0, 0, 0]},
        {"label-value": 1, "rgba": [230, 159, 0, 255]},
    ]
    assert told["properties"][1] == {"label-value": 1, "name": "trabecular bone"}
    assert volumes_in(tmp_path) == [path]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_scan_is_written_with_scales_that_are_means(tmp_path, zarr, dtype):
    array = np.random.default_rng(1).integers(0, 200, (9, 131, 300)).astype(dtype)
    save(tmp_path / "a.zarr", array, voxel_size=(3, 2, 2))
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    np.testing.assert_array_equal(group["0"][:], array)
    even = np.pad(array, [(0, 1), (0, 1), (0, 0)], mode="edge").astype(float)
    mean = even.reshape(5, 2, 66, 2, 150, 2).mean(axis=(1, 3, 5))
    right = np.rint(mean) if np.dtype(dtype).kind in "iu" else mean
    np.testing.assert_allclose(group["1"][:], right, rtol=1e-6)
    steps = group.attrs["multiscales"][0]["datasets"][1]["coordinateTransformations"]
    assert [step[step["type"]] for step in steps] == [[6, 4, 4], [1.5, 1, 1]]


def test_only_what_bone_wrote_is_replaced(tmp_path):
    path = tmp_path / "lab.ome.zarr"
    write_labels(path)
    header = peek(path)
    with pytest.raises(OutputError, match="already there"):
        write_labels(path)
    write_labels(path, overwrite=True)
    (path / ".zattrs").write_text("{}")
    with pytest.raises(OutputError, match="no OME-Zarr that BONe wrote"):
        write_labels(path, overwrite=True)
    (tmp_path / "file.zarr").write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        write_labels(tmp_path / "file.zarr", overwrite=True)
    with (
        pytest.raises(OutputError, match="20 of 150 slices"),
        create(tmp_path / "new.zarr", header) as writer,
    ):
        writer.write(labels()[:20])
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file.zarr", "lab.ome.zarr"]


def test_a_layer_that_does_not_fit_lies_in_a_file_while_it_is_read(tmp_path, monkeypatch):
    save(tmp_path / "a.zarr", GREY)
    monkeypatch.setattr(reading, "MOST_LAYER", 1000)
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    with open_volume(tmp_path / "a.zarr") as volume:
        np.testing.assert_array_equal(volume.read(3, 5), GREY[3:5])
        assert len([*(tmp_path / "cache").iterdir()]) == 1
        with open_source(volume, folder=tmp_path / "unpacked") as source:
            np.testing.assert_array_equal(source.read_slice(36), GREY[36])
    assert [*(tmp_path / "cache").iterdir()] == []


def test_a_checksum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, and every list of check values
    data = np.random.default_rng(0).integers(0, 256, 100_001).astype(np.uint8).tobytes()
    google = pytest.importorskip("google_crc32c")
    for size in (0, 1, 31, 40_000, 65_536, 100_001):
        assert crc32c(data[:size]) == google.value(data[:size])


@pytest.mark.parametrize("packed", ["zlib", "gzip", "bz2", "lzma", "zstd", "blosc", "lz4"])
def test_no_chunk_unpacks_to_more_than_its_array_announces(packed):
    import bz2
    import gzip
    import lzma

    imagecodecs = pytest.importorskip("imagecodecs")
    plain = bytes(5 << 20)
    bombs = {
        "zlib": zlib.compress(plain),
        "gzip": gzip.compress(plain),
        "bz2": bz2.compress(plain),
        "lzma": lzma.compress(plain),
        "zstd": bytes(imagecodecs.zstd_encode(plain)),
        "blosc": bytes(imagecodecs.blosc_encode(plain, compressor="zstd")),
        "lz4": struct.pack("<I", 1000) + bytes(imagecodecs.lz4_encode(plain)),
    }
    with pytest.raises(ValueError, match=r".+"):
        Codecs(packed).unpack(bombs[packed], 1000)
    with pytest.raises(ValueError, match=r".+"):
        Codecs(packed).unpack(bombs[packed][:-9], 5 << 20)


def changed(**values):
    def change(path):
        place = path / "0" / ".zarray"
        place.write_text(json.dumps({**json.loads(place.read_text()), **values}))

    return change


def told(change):
    def rewrite(path):
        place = path / ".zattrs"
        values = json.loads(place.read_text())
        change(values["multiscales"][0])
        place.write_text(json.dumps(values))

    return rewrite


def chunk(data):
    return lambda path: (path / "0/0/0/0").write_bytes(data)


MISTAKES = {
    "no chunk of its size": (
        chunk(b"\2\1\1\2" + struct.pack("<3I", 999, 64, 30) + bytes(14)),
        "another size",
    ),
    "a chunk that is text": (chunk(b"bone"), "damaged chunk"),
    "a chunk that is huge": (chunk(bytes(9 << 20)), "which no chunk of this array has"),
    "chunks of 1 TB": (changed(chunks=[1 << 14] * 3), "more than BONe unpacks at once"),
    "a huge shape": (changed(shape=[1 << 40] * 3), "its shape"),
    "too many chunks": (changed(shape=[1 << 22, 9, 9], chunks=[1, 1, 1]), "more than BONe opens"),
    "a negative shape": (changed(shape=[-1, 9, 9]), "its sizes are"),
    "a shape that is text": (changed(shape="large"), "no list of whole numbers"),
    "objects": (changed(dtype="|O"), "it holds object"),
    "structures": (changed(dtype=[["a", "<i2"]]), "no header of Zarr 2"),
    "a codec that runs code": (changed(compressor={"id": "pickle"}), "packed with 'pickle'"),
    "filters": (changed(filters=[{"id": "delta"}]), r"filtered \(delta\)"),
    "keys with dots": (changed(dimension_separator="/../"), "dimension_separator"),
    "a header that is cut off": (lambda path: (path / "0/.zarray").write_text('{"shape": ['), "damaged"),
    "a header nested too deeply": (lambda path: (path / "0/.zarray").write_text("[" * 9999), "damaged"),
    "a scale outside": (told(lambda image: image["datasets"][0].update(path="../other")), "outside of it"),
    "a scale at the root": (told(lambda image: image["datasets"][0].update(path="/etc")), "outside of it"),
    "a scale that is lost": (told(lambda image: image["datasets"][0].update(path="9")), "cannot be read"),
    "no scales": (told(lambda image: image.update(datasets=[])), "has no scales"),
    "too few axes": (told(lambda image: image["axes"].pop()), "names 2 axes of an array with 3"),
    "other axes": (told(lambda image: image["axes"][0].update(name="c")), "a volume has z, y and x"),
    "no image": (lambda path: (path / ".zattrs").write_text("{}"), "is no image"),
    "attributes that are damaged": (lambda path: (path / ".zattrs").write_bytes(b"\xff"), "is damaged"),
    "no Zarr": (
        lambda path: [item.unlink() for item in path.iterdir() if item.is_file()],
        "is no Zarr folder",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_the_name_of_the_file(tmp_path, mistake):
    change, words = MISTAKES[mistake]
    path = tmp_path / "a.zarr"
    save(path, GREY, voxel_size=(3, 2, 2))
    change(path)
    if mistake == "no Zarr":
        shutil.rmtree(path / "0")

    def look():
        with open_volume(path) as volume:
            volume.read(0, 37)

    with pytest.raises(ScanError, match=words) as found:
        look()
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)


def test_nothing_outside_of_the_folder_can_be_chosen(tmp_path):
    save(tmp_path / "a.zarr", GREY)
    save(tmp_path / "b.zarr", GREY)
    for inside in ("../b.zarr", "0/../../b.zarr", "..", "C:\\b", "/../b.zarr"):
        with pytest.raises(ScanError, match=r"is no place inside it|nothing called"):
            open_volume(f"{tmp_path / 'a.zarr'}#{inside}")


def test_labels_hold_little_memory_while_they_are_written():
    header = Header("large", (5000, 3000, 3000), np.uint16)
    sizes, step = 0, 1
    while step < 64:
        deep = writing.layer_depth(header.shape[1] // step, header.shape[2] // step, 2)
        sizes += deep * (header.shape[1] // step) * (header.shape[2] // step) * 2
        step *= 2
    assert sizes < 400 << 20
