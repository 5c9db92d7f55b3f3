"""Files of options: whatever stands in them, there is one answer, soon and in little memory."""

from __future__ import annotations

import json
import random
import resource
import time
from pathlib import Path

import pytest

from bone_backend.errors import OptionError
from bone_backend.options.programs import FitOptions
from standalone.command import build_parser
from standalone.flags import gather
from standalone.option_files import MOST_BYTES, read_config

PAIRS = [["a", "am"], ["b", "bm"]]
SECONDS = 8.0  # on a busy machine; alone it takes a tenth


def options_of(path: Path) -> FitOptions:
    return gather(build_parser().parse_args(["fit", "--config", str(path)]), FitOptions)


def laughs(levels: int = 40) -> str:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, levels))]
    return "\n".join([*lines, f"transforms: {{gamma: *a{levels - 1}}}"])


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", b'{"transforms": ' + b"[" * 100_000, "nested too deeply"),
        ("a.json", b'{"a": ' * 40_000, "nested too deeply"),
        ("a.yaml", b"pairs: " + b"[" * 100_000, "nested too deeply"),
        ("a.yaml", b"\n".join(b" " * n + b"a:" for n in range(600)), "nested too deeply"),
        ("a.toml", b"a = " + b"[" * 10_000, "nested too deeply"),
        ("a.toml", b".".join([b"a"] * 60_000) + b" = 1", "line 1 is too long"),
        ("a.json", b'{"epochs": ' + b"9" * 100_000 + b"}", "no valid JSON"),
        ("a.yaml", b"epochs: " + b"9" * 100_000, "no valid YAML"),
        ("a.toml", b"epochs = " + b"9" * 10_000, "no valid TOML"),
        ("a.json", b'{"epochs": ' + b"9" * 4000 + b"}", "epochs is a number of about 4000 digits"),
        ("a.json", b'{"epochs": 1e999}', "epochs is inf: give a whole number from 1 to 100000"),
        ("a.json", b'{"epochs": NaN}', "epochs is nan"),
        ("a.yaml", laughs().encode(), r"line 2: \*a0 repeats a part; write it out"),
        ("a.yaml", b"a: &a [*a]", "repeats a part"),
        ("a.yaml", b"epochs: 3\nepochs: 4", "'epochs' stands there twice"),
        ("a.json", b'{"epochs": 3, "epochs": 4}', "'epochs' stands there twice"),
        ("a.toml", b"epochs = 3\nepochs = 4", "no valid TOML"),
        ("a.yaml", b"patch-size: 64\npatch_size: 96", "'patch_size' stands there twice"),
        ("a.json", b'{"transforms": {"gamma": 1, "gamma": 2}}', "'gamma' stands there twice"),
        ("a.yaml", "name: Sch\xe4del\n".encode("latin-1"), r"no text in UTF-8 \(line 1\)"),
        ("a.json", '{"epochs": 3}'.encode("utf-16"), "no text in UTF-8"),
        ("a.yaml", b"\x00\x01\x02", "no valid YAML"),
        (
            "a.yaml",
            b"name: !!python/object/apply:os.system [ls]",
            "no valid YAML: line 1: could not determine",
        ),
        ("a.yaml", b"name: [1, 2", "no valid YAML: line 1"),
        ("a.json", b" " * (MOST_BYTES + 1), "larger than 256 KiB"),
        ("a.yaml", b"", "must hold option names and values"),
        ("a.json", b"[1]", "must hold option names and values"),
        ("a.json", b'{"output": "a\\u0000b"}', "holds characters that no name has"),
        ("a.json", b'{"output": "\\ud800"}', "holds characters that no name has"),
        ("a.json", b'{"pairs": [["\\ud800", "b"], ["c", "d"]]}', "that no file name has"),
        ("a.json", b'{"weights": "\\ud800.pth"}', "holds characters that no name has"),
        ("a.json", b'{"epochs": true}', "epochs is true: give a whole number"),
        ("a.yaml", b"validation_pairs: [yes]", "validation_pairs is true"),
        ("a.yaml", b"name: 2024-01-15", "name is datetime.date"),
        ("a.json", b'{"resume": [1]}', "resume is a list of 1: give a path"),
        ("a.json", json.dumps({"transforms": "{" * 100_000}).encode(), "transforms"),
        ("a.json", json.dumps({f"x{n}": n for n in range(12_000)}).encode(), r"and \d+ more faults"),
        ("a.json", json.dumps({"pairs": [[n] for n in range(20_000)]}).encode(), r"and \d+ more faults"),
        ("a.json", json.dumps({"x" * 200_000: 1}).encode(), r"xxx\.\.\. is no option"),
    ],
)
def test_a_file_that_does_harm_is_told_in_words_soon(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(OptionError, match=told) as fault:
        options_of(path)
    assert time.monotonic() - began < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert len(fault.value.faults) <= 41
    assert len(str(fault.value)) < 20_000


def test_no_file_at_all_is_told(tmp_path):
    for path in (tmp_path / "gone.yaml", tmp_path / "folder.json"):
        (tmp_path / "folder.json").mkdir(exist_ok=True)
        with pytest.raises(OptionError, match=r"cannot be read|is no file"):
            read_config(path)


def test_what_people_write_is_read(tmp_path):
    path = tmp_path / "fit.yaml"
    path.write_text(
        "# our femora\npairs:\n  - [Schädel, Schädel_mask]\n  - {scan: b, mask: bm, subject: Ada}\n"
        "output: run\nlearning-rate: 1e-4\ntransforms: {gamma: 0.3}\n",
        encoding="utf-8-sig",
    )
    options = options_of(path)
    assert str(options.pairs[0].scan) == "Schädel"
    assert (options.learning_rate, options.transforms) == (1e-4, '{"gamma": 0.3}')


def spoilt(number: int) -> tuple[str, bytes]:
    """A file of options with some bytes changed, parts repeated or values swapped, and its ending."""
    chance = random.Random(number)
    strange = [
        None,
        True,
        -1,
        10**30,
        1e308,
        "",
        "x" * 300,
        [],
        {},
        [[]],
        {"a": 1},
        "\udcff",
        "~nobody/x",
        "\n",
    ]
    values: dict[str, object] = {"pairs": PAIRS, "output": "run"}
    for field in chance.sample(FitOptions.option_fields(), 6):
        values[field.name] = chance.choice([field.default, *strange])
    ending = chance.choice([".json", ".yaml", ".toml"])
    content = json.dumps(values, default=str).encode()
    if ending == ".toml":
        content = "\n".join(
            f"{name} = {json.dumps(value, default=str)}" for name, value in values.items()
        ).encode()
    for _ in range(chance.choice([0, 0, 1, 3, 20])):
        at = chance.randrange(len(content))
        piece = chance.choice(
            [b"\xff", b"[", b"}", b"&a ", b"*a", b"\0", b'"', b"\n", content[at : at + 40] * 3]
        )
        content = content[:at] + piece + content[at + chance.randrange(3) :]
    return ending, content


@pytest.mark.parametrize("batch", range(4))
def test_files_with_anything_in_them_end_in_options_or_in_words(tmp_path, batch):
    for number in range(50 * batch, 50 * batch + 50):
        ending, content = spoilt(number)
        path = tmp_path / f"{number}{ending}"
        path.write_bytes(content)
        faults: list[str] = []
        try:
            options_of(path)
        except OptionError as fault:
            faults = fault.faults
        assert all(text and "nput should" not in text for text in faults), number
