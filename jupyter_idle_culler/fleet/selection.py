"""Which things of an account are meant: by name, by tags, by both; never all by accident."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

NOT_SELECTED = "its tags were changed: it is not selected any more"
OPT_OUT_TAG = "idle-culler:exempt"
"""A resource with this tag is left alone, whatever matches it (unless the value says no)."""

_NO = ("false", "no", "0", "off")


def exempt(tags: Mapping[str, str]) -> bool:
    """Tell whether the tags say: hands off."""
    return OPT_OUT_TAG in tags and tags[OPT_OUT_TAG].strip().lower() not in _NO


@dataclass(frozen=True)
class Selection:
    """What must hold of a thing: all that is given.

    ``name_contains`` is part of the name, ``name_pattern`` the whole of it with ``*`` and ``?``,
    both case-sensitive (``[`` is itself); each of ``tags`` must be there with this value (``*``:
    any). Something must be given that not every name fits, or ``match_all``.
    """

    name_contains: str = ""
    name_pattern: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    match_all: bool = False

    @property
    def empty(self) -> bool:
        """Whether it would match everything without having been asked to."""
        pattern = self.name_pattern.strip("*?")
        return not (self.name_contains or pattern or self.tags or self.match_all)

    def matches_name(self, name: str) -> bool:
        """Tell whether the name is one that is meant."""
        pattern = self.name_pattern.replace("[", "[[]")  # to fnmatch, a set of letters
        fits = not pattern or fnmatch.fnmatchcase(name, pattern)
        return self.name_contains in name and fits and not self.empty

    def matches(self, name: str, tags: Mapping[str, str]) -> bool:
        """Tell whether a thing with this name and these tags is meant. Nothing is, where empty."""
        held = all(key in tags and wanted in ("*", tags[key]) for key, wanted in self.tags.items())
        return self.matches_name(name) and held
