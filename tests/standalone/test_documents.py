"""The page of all options is made from the options and is current."""

from bone_backend.options.programs import PROGRAMS
from standalone.documents import PAGE, page


def test_the_page_of_options_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m standalone.documents"


def test_every_option_stands_in_it():
    text = page()
    for options in PROGRAMS.values():
        for field in options.option_fields():
            assert f"`{field.name.upper() if field.positional else field.flag}`" in text
