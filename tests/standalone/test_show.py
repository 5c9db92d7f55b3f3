"""What is shown of a file cannot steer the terminal."""

from __future__ import annotations

from standalone import show

ROGUE = "bone\x1b[2J\x1b]0;pwn\x07"
SHOWN = "bone\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}]0;pwn\N{REPLACEMENT CHARACTER}"


def test_control_characters_of_a_model_file_are_replaced():
    text = show.result("info", {"kind": "model", "classes": {1: ROGUE, 2: "dent\u00ed\nn"}})
    assert text.splitlines() == [
        "kind     model",
        f"classes  1: {SHOWN}, 2: dent\u00ed\N{REPLACEMENT CHARACTER}n",
    ]


def test_they_are_replaced_in_keys_and_lists_and_where_the_writing_is_turned():
    card = {"version": [ROGUE, "\u202eabc"], "train_dataset": {ROGUE: 0.5}}
    assert show.result("info", card).splitlines() == [
        f"version        {SHOWN}, \N{REPLACEMENT CHARACTER}abc",
        f"train dataset  {SHOWN}: 0.5",
    ]


def test_other_results_keep_their_lines_and_lose_control_characters():
    found = {"sheet": ROGUE, "patches": ["a"], "changes": []}
    assert show.result("preview-augmentation", found).splitlines() == [
        f"Sheet:    {SHOWN}",
        "Patches:  a",
        "Changes:  none",
    ]
