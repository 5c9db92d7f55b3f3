"""The page of all options is made from the options and is current."""

from bone_backend.jobs.commands import OFFERED
from standalone.documents import PAGE, page


def test_the_page_of_options_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m standalone.documents"


def test_every_option_stands_in_it():
    text = page()
    for command in OFFERED.values():
        for field in command.table().option_fields():
            assert f"`{field.name.upper() if field.positional else field.flag}`" in text
