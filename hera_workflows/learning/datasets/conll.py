"""Which sentences, tokens and tags does a CoNLL-2003 file hold?

One token a line: the token first, its tag last, columns apart by blanks; an empty line ends a sentence. Tags are
`O`, `B-TYPE` and `I-TYPE`. In CoNLL-2003's own files `I-` also begins an entity; tags are given out with `B-` there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hera_workflows.learning.datasets.fetch import Fetched
from slipway.errors import Rejected

__all__ = ["Corpus", "Sentence", "read_conll"]

_TAG = re.compile(r"O|[BI]-[A-Za-z0-9_]{1,50}")
_NAMES = {
    "train": ("train", "train.txt", "train.conll", "eng.train"),
    "validation": ("validation", "validation.txt", "valid.txt", "dev.txt", "testa", "validation.conll", "eng.testa"),
    "test": ("test", "test.txt", "testb", "test.conll", "eng.testb"),
}
MAX_LINE = 10_000  # characters
MAX_TOKENS = 10_000  # in one sentence


class Sentence(NamedTuple):
    """Tokens and as many tags (`O`, `B-PER`, `I-PER`)."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


class Corpus:
    """A folder or archive with one file for each split."""

    def __init__(self, name: str, fetched: Fetched) -> None:
        self.name, self.path = name, fetched.path

    def split(self, split: str) -> Iterator[Sentence]:
        """The sentences of "train", "validation" or "test", read as they are asked for.

        Raises Rejected with file and line for tags that are broken, and when the split has no file.
        """
        return read_conll(self._file(split), f"data.{self.name}")

    def _file(self, split: str) -> Path:
        wanted = _NAMES.get(split, (split,))
        every = [self.path] if self.path.is_file() else self.path.rglob("*")
        found = sorted(path for path in every if path.is_file() and path.name in wanted)
        if len(found) != 1:
            what = "no file" if not found else f"{len(found)} files"
            raise Rejected(f"data.{self.name} has {what} for {split}; it is called one of {', '.join(wanted)}")
        return found[0]


def read_conll(path: Path, where: str) -> Iterator[Sentence]:
    """The sentences of one file; raises Rejected, `where: file:line: what`, and for a file without any."""
    tokens: list[str] = []
    tags: list[str] = []
    count = 0
    for number, line in _lines(path, where):
        place = f"{where}: {path.name}:{number}"
        columns = line.split()
        if not columns or columns[0] == "-DOCSTART-":
            if tokens:
                count += 1
                yield Sentence(tuple(tokens), tuple(tags))
                tokens, tags = [], []
            continue
        if len(columns) < 2:
            raise Rejected(f"{place}: {line.strip()[:60]!r} has no tag; write TOKEN … TAG, or an empty line")
        token, tag = columns[0], columns[-1]
        if not _TAG.fullmatch(tag):
            raise Rejected(f"{place}: {tag[:60]!r} is not a tag; write O, B-TYPE or I-TYPE")
        if len(tokens) == MAX_TOKENS:
            raise Rejected(f"{place}: a sentence of more than {MAX_TOKENS} tokens; end sentences by an empty line")
        tokens.append(token)
        tags.append(_begun(tag, tags[-1] if tags else "O"))
    if tokens:
        count += 1
        yield Sentence(tuple(tokens), tuple(tags))
    if count == 0:
        raise Rejected(f"{where}: {path.name} holds no sentence; look at the url")


def _begun(tag: str, before: str) -> str:
    """`B-` for an `I-` that follows nothing of its type."""
    return f"B-{tag[2:]}" if tag.startswith("I-") and before[2:] != tag[2:] else tag


def _lines(path: Path, where: str) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise Rejected(f"{where}: {path.name}:{number}: a line of more than {MAX_LINE} characters")
                yield number, line
    except UnicodeDecodeError as error:
        raise Rejected(f"{where}: {path.name}: not UTF-8 after line {number} ({error.reason}); convert it") from None
