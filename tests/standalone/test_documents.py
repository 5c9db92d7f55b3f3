"""What is made from the code stands in the documents and is current."""

import re

from bone_backend.jobs.commands import OFFERED, at_terminal
from bone_backend.options.transforms import TRANSFORMS
from bone_backend.volumes.formats import FORMATS
from standalone.documents import DOCS, formats, page, pages, transforms


def test_the_pages_that_are_made_are_current():
    for path, text in pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m standalone.documents"


def test_every_option_stands_in_it():
    text = page()
    for command in OFFERED:
        for field in at_terminal(command).table().option_fields():
            assert f"`{field.name.upper() if field.positional else field.flag}" in text


def test_every_format_says_what_it_was_tried_on():
    text = (DOCS / "formats.md").read_text(encoding="utf-8")
    _, _, section = text.partition("## What each format was tried on")
    told = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", section.partition("\n## ")[0], re.MULTILINE))
    assert [*told][1:] == [row.words[0].upper() + row.words[1:] for row in FORMATS]
    assert all("written by" in words or "ours alone" in words for words in [*told.values()][1:])


def test_the_tables_tell_what_a_format_lacks_and_every_transform():
    assert "| .npy file | `.npy` | `.npy` | the voxel size, the direction" in formats()
    assert all(f"| `{name}` |" in transforms() for name in TRANSFORMS)
