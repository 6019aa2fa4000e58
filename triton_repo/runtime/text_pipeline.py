"""How does text become a model's numbers, and how do its numbers become entities?

Copied beside model.py, so it imports nothing of slipway; training and validation use this same file, so that text
cannot be cut differently where it is learned and where it is served. What differs between versions is data: text.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RESERVED", "TEXT_JSON", "TextError", "TextPipeline", "tokens"]

TEXT_JSON = "text.json"
# Ids 0, 1 and 2: padding; a token that is not in the vocabulary; one that is not and begins with a capital letter.
RESERVED = ("<pad>", "<unknown>", "<Unknown>")
# The one rule: a run of letters, digits and _ is a token, and so is every other character that is not blank.
_TOKEN = re.compile(r"\w+|[^\w\s]")


class TextError(ValueError):
    """Text that cannot be answered; the message is for whoever sent it."""


def tokens(text: str) -> list[str]:
    """The tokens of a text, in order: "U.N. in Genève" is U . N . in Genève."""
    return _TOKEN.findall(text)


@dataclass(frozen=True, slots=True)
class TextPipeline:
    """What text.json says."""

    vocabulary: tuple[str, ...]  # by id; begins with RESERVED
    classes: tuple[str, ...]  # BIO, by number
    max_characters: int  # of one text
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.vocabulary[: len(RESERVED)] != RESERVED:
            raise ValueError(f"a vocabulary begins with {', '.join(RESERVED)}")
        object.__setattr__(self, "_ids", {token: number for number, token in enumerate(self.vocabulary)})

    @classmethod
    def read(cls, path: Path) -> TextPipeline:
        """The pipeline in a text.json; raises ValueError, KeyError or TypeError when it holds none."""
        content = json.loads(path.read_bytes())
        return cls(tuple(content["vocabulary"]), tuple(content["classes"]), int(content["max_characters"]))

    def write(self, path: Path) -> None:
        """Write text.json."""
        content = {"vocabulary": self.vocabulary, "classes": self.classes, "max_characters": self.max_characters}
        path.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")

    def texts(self, rows: NDArray[Any]) -> list[str]:
        """Rows of a BYTES tensor as text; raises TextError for the first that is too long or not UTF-8."""
        found = []
        for place, row in enumerate(rows.reshape(-1), start=1):
            try:
                text = row.decode("utf-8") if isinstance(row, bytes) else str(row)
            except UnicodeDecodeError as error:
                raise TextError(f"text {place} is not UTF-8 (byte {error.start}); encode it as UTF-8") from None
            if len(text) > self.max_characters:
                raise TextError(
                    f"text {place} has {len(text)} characters; send at most {self.max_characters}, "
                    "for example one sentence or paragraph at a time"
                )
            found.append(text)
        return found

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """(n, tokens of the longest) ids, filled up with 0; a text without tokens is a row of padding."""
        import numpy as np

        rows = [[self._id(token) for token in tokens(text)] for text in texts]
        ids = np.zeros((len(rows), max([1, *map(len, rows)])), np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
        return ids

    def _id(self, token: str) -> int:
        return self._ids.get(token, 2 if token[:1].isupper() else 1)

    def decode(self, texts: Sequence[str], probabilities: NDArray[Any]) -> list[str]:
        """The entities of each text, as JSON: [{"start", "end", "label", "text", "score"}, …].

        start and end count characters (Unicode code points), end excluded; score is the mean probability of the
        entity's tokens, in [0, 1]. probabilities: (n, tokens, classes).
        """
        best, score = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
        return [
            json.dumps(self._entities(text, best[row].tolist(), score[row].tolist()), ensure_ascii=False)
            for row, text in enumerate(texts)
        ]

    def _entities(self, text: str, labels: list[int], scores: list[float]) -> list[dict[str, Any]]:
        found: list[tuple[str, int, int, list[float]]] = []
        before = "O"
        for token, label, score in zip(_TOKEN.finditer(text), labels, scores, strict=False):
            name = self.classes[label]
            if name != "O":
                # I-X that follows nothing of type X begins an entity, as in the metrics and in conlleval.
                if name[:2] == "I-" and before[2:] == name[2:]:
                    kind, start, _, parts = found.pop()
                    found.append((kind, start, token.end(), [*parts, score]))
                else:
                    found.append((name[2:], token.start(), token.end(), [score]))
            before = name
        return [
            {"start": a, "end": b, "label": kind, "text": text[a:b], "score": round(sum(parts) / len(parts), 6)}
            for kind, a, b, parts in found
        ]
