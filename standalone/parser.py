"""The words of a command line, checked: wrong ones are told all at once, each with what was probably meant.

In:  the words behind `bone`.
Out: argparse's namespace; help pages on standard output; or an OptionError with a sentence for each fault.
A command's options are filled in when the command is named, since their table takes a second to load.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from bone_backend.errors import OptionError

from .pages import Entry, front_page, page

DASHES = "-\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}"  # the long ones come from text programs
NUMBER = re.compile(r"-[.\d]")  # also -1:0 of --map-labels and -1e-3, which argparse takes for flags
MOST_NEAR = 3
HELP = ("-h", "--help", "--help-all")


class Parser(argparse.ArgumentParser):
    """The parser of `bone` (summaries: of its commands) or of one command (fill: adds its options).

    Words are never completed: what --epoch means today could mean something else tomorrow.
    """

    def __init__(
        self,
        *,
        prog: str,
        summaries: Mapping[str, str] | None = None,
        fill: Callable[[Parser], None] | None = None,
        others: Mapping[str, Parser] | None = None,
        description: str = "",
    ):
        super().__init__(prog=prog, description=description, allow_abbrev=False, add_help=False)
        self._negative_number_matcher = NUMBER
        self.summaries, self.others = dict(summaries or {}), others or {}
        self.entries: list[Entry] = []
        self.output = ""  # the flag of the output, where a command cannot be without
        self._fill = fill
        self.add_argument("-h", "--help", action="store_true", help=argparse.SUPPRESS)
        self.add_argument("--help-all", action="store_true", help=argparse.SUPPRESS)

    def add(self, entry: Entry, *flags: str, **how: Any) -> None:
        """One option: its place on the help page, and how argparse reads it."""
        self.entries.append(entry)
        self.add_argument(*flags, **how)

    def fill(self) -> None:
        """Add the options of this command, once."""
        fill, self._fill = self._fill, None
        if fill:
            fill(self)

    def format_help(self, *, everything: bool = False) -> str:
        if self.summaries:
            return front_page(self.summaries)
        self.fill()
        return page(self.prog.partition(" ")[2], self.description or "", self.entries, everything=everything)

    def parse_known_args(
        self, args: Any = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        words = list(sys.argv[1:] if args is None else args)
        asked = words[: _command_at(words)] if self.summaries else words[: _end_of_flags(words)]
        if (self.summaries and not words) or any(word in HELP for word in asked):
            self._print_message(self.format_help(everything="--help-all" in asked), sys.stdout)
            raise SystemExit(0)
        self.fill()
        if faults := self._command_faults(words) if self.summaries else self._flag_faults(words):
            self._refuse(faults)
        found, extra = super().parse_known_args(words, namespace)
        if extra and not self.summaries:
            told = "one word too many" if len(extra) == 1 else "words too many"
            self._refuse([f"{told}: {' '.join(_quoted(extra))}.{self._meant_by(extra, found)}"])
        return found, extra

    def error(self, message: str) -> NoReturn:
        """Argparse's own faults."""
        self._refuse([f"{message}."])

    def _refuse(self, faults: list[str]) -> NoReturn:
        raise OptionError([*faults[:-1], f"{faults[-1]} See {self.prog} --help."])

    def _command_faults(self, words: list[str]) -> list[str]:
        at = _command_at(words)
        faults = [
            f"{word} is no option of bone itself; options stand behind the command."
            for word in words[:at]
            if word not in self._option_string_actions
        ]
        if at == len(words) and "--version" not in words:
            faults.append(f"no command is named; there are {', '.join(self.summaries)}.")
        elif at < len(words) and words[at] not in self.summaries:
            near = nearest(words[at], list(self.summaries))
            told = f"Did you mean {_either(near)}?" if near else f"There are {', '.join(self.summaries)}."
            faults.append(f"{words[at]} is no command. {told}")
        return faults

    def _flag_faults(self, words: list[str]) -> list[str]:
        known, faults = self._option_string_actions, []
        words = words[: _end_of_flags(words)]
        for word, following in itertools.pairwise([*words, None]):
            if word is None or not _is_flag(word):
                continue
            name, equals, value = word.partition("=")
            if name not in known:
                faults.append(f"there is no option {name}.{self._meant(name)}")
            elif known[name].nargs == 0 and equals:
                faults.append(f"{name} is a switch; leave out ={value}.")
            elif known[name].nargs != 0 and not equals and (following is None or _is_flag(following)):
                wanted = next(e.words for e in self.entries if e.words.startswith(f"{name} "))
                faults.append(f"{name} needs a value: {wanted}.")
        return list(dict.fromkeys(faults))

    def _meant_by(self, extra: Sequence[str], found: argparse.Namespace) -> str:
        """Words without a flag that are pairs, or the place of the output."""
        words = _quoted(extra)
        if "--pair" in self._option_string_actions and len(words) % 2 == 0:
            pairs = (f"--pair {scan} {mask}" for scan, mask in zip(words[::2], words[1::2], strict=True))
            return f" Did you mean {' '.join(pairs)}?"
        if self.output and len(words) == 1 and not hasattr(found, self.output.lstrip("-")):
            return f" Did you mean {self.output} {words[0]}?"
        return ""

    def _meant(self, name: str) -> str:
        if near := nearest(name, [flag for flag in self._option_string_actions if flag.startswith("--")]):
            return f" Did you mean {_either(near)}?"
        homes = []
        for command, other in self.others.items():
            other.fill()
            if name in other._option_string_actions:
                homes.append(f"bone {command}")
        return f" It belongs to {_either(homes, 'and')}." if homes else ""


def nearest(name: str, flags: Sequence[str]) -> list[str]:
    """What was probably meant by a flag, best first.

    >>> nearest("--patchsize", ["--patch-size", "--patch-depth"]), nearest("--lr", ["--learning-rate"])
    (['--patch-size'], ['--learning-rate'])
    >>> nearest("--patch", ["--patch-size", "--patch-depth", "--pair"])
    ['--patch-size', '--patch-depth']
    """
    bare = name.lstrip(DASHES).lower().replace("_", "-")
    plain = bare.replace("-", "")
    names = {flag.lstrip("-"): flag for flag in flags}
    tests: tuple[Callable[[str], bool], ...] = (
        lambda known: known.replace("-", "") == plain,
        lambda known: known.startswith(bare),
        lambda known: known in difflib.get_close_matches(bare, names, n=1, cutoff=0.75),
        lambda known: len(bare) > 1 and "".join(part[0] for part in known.split("-")) == plain,
        lambda known: bare in known.split("-"),
        lambda known: known in difflib.get_close_matches(bare, names, n=1, cutoff=0.6),
    )
    if bare:
        for test in tests:
            # a switch is suggested once, not as --no-NAME too, unless that was written
            found = [known for known in names if test(known) and (known[:3] != "no-" or bare[:2] == "no")]
            if found:
                return [names[known] for known in found[:MOST_NEAR]]
    return []


def _quoted(words: Sequence[str]) -> list[str]:
    """As they are typed."""
    return [f'"{word}"' if " " in word else word for word in words]


def _is_flag(word: str) -> bool:
    """Whether a word is meant as one; a number, and what has a space in it, is a value."""
    name = word.partition("=")[0]
    return len(word) > 1 and word[0] in DASHES and not NUMBER.match(word) and " " not in name


def _command_at(words: Sequence[str]) -> int:
    """Where the command stands: at the first word that is no flag."""
    return next((i for i, word in enumerate(words) if not _is_flag(word)), len(words))


def _end_of_flags(words: Sequence[str]) -> int:
    return words.index("--") if "--" in words else len(words)


def _either(things: Sequence[str], word: str = "or") -> str:
    return f" {word} ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)
