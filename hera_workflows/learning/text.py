"""How text that data() gives becomes numbers for the module, and how that travels with the version.

model.py may import `vocabulary_of`, `encode` and `label`; everything else is for the steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import Rejected
from triton_repo.runtime.text_pipeline import RESERVED, TEXT_JSON, TextPipeline, tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hera_workflows.learning.datasets.conll import Sentence

__all__ = ["MAX_CHARACTERS", "encode", "is_text", "label", "model_inputs", "text_problems", "vocabulary_of"]

MAX_CHARACTERS = 4000  # of one text sent to a served version: some pages of prose, some tens of milliseconds
_IGNORE = -100


def vocabulary_of(texts: Iterable[str], *, at_least: int = 1) -> list[str]:
    """Tokens by id: padding, unknown, unknown with a capital letter, then all that occur `at_least` times, by name."""
    count = Counter(token for text in texts for token in tokens(str(text)))
    return [*RESERVED, *sorted(token for token, seen in count.items() if seen >= at_least)]


def encode(texts: Iterable[str], vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """(n, tokens of the longest) ids as the server makes them; 0 is padding."""
    return TextPipeline(tuple(vocabulary), (), MAX_CHARACTERS).encode([str(text) for text in texts])


def label(sentences: Iterable[Sentence], classes: Sequence[str]) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """(texts, labels) from sentences of words with BIO tags: words joined by blanks, one label for each token.

    labels: (n, tokens of the longest), -100 beyond a sentence's end. A word that is several tokens, such as "U.N.",
    keeps its entity in one piece. Raises Rejected for a tag that is not among `classes`.
    """
    import numpy as np

    number = {name: index for index, name in enumerate(classes)}
    texts, rows = [], []
    for sentence in sentences:
        row: list[int] = []
        for word, tag in zip(sentence.tokens, sentence.tags, strict=True):
            if tag not in number:
                raise Rejected(f"tag {tag[:60]!r} of {word[:60]!r} is not among the classes {', '.join(classes)}")
            goes_on = number.get(f"I-{tag[2:]}", number[tag])
            row += [number[tag] if place == 0 else goes_on for place in range(len(tokens(word)))]
        texts.append(" ".join(sentence.tokens))
        rows.append(row)
    labels = np.full((len(rows), max([1, *map(len, rows)])), _IGNORE, np.int64)
    for place, row in enumerate(rows):
        labels[place, : len(row)] = row
    return np.array(texts, dtype=str), labels


def is_text(array: NDArray[Any]) -> bool:
    """Whether an input of data() is text."""
    return array.dtype.kind == "U"


def text_problems(inputs: Mapping[str, NDArray[Any]], labels: NDArray[Any]) -> list[str]:
    """What is wrong with a split whose input is text, as sentences."""
    if len(inputs) > 1:
        return [f"text comes with other inputs ({', '.join(inputs)}); give the text alone"]
    ((name, texts),) = inputs.items()
    if len(texts) != len(labels):
        return []  # said of every input
    if labels.ndim != 2:
        return [
            f"input {name} is text, which needs a label for each token (token-classification); "
            "give numbers to other tasks"
        ]
    if texts.ndim != 1:
        return [f"input {name} is text of shape {texts.shape}; give one text a sample"]
    for place, text in enumerate(texts):
        # PyTorch's answers to what the server refuses cannot be compared with anything.
        if len(text) > MAX_CHARACTERS:
            return [f"text {place} has {len(text)} characters and at most {MAX_CHARACTERS} are served; split it"]
        if (count := len(tokens(str(text)))) != (labelled := _length(labels[place])):
            return [
                f"text {place} has {count} tokens and {labelled} labels; label each run of letters and each other "
                "character, as hera_workflows.learning.text.label does, and pad with -100"
            ]
    longest = max(map(_length, labels), default=0)
    if labels.shape[1] != max(1, longest):
        return [f"labels have {labels.shape[1]} columns and the longest text {longest} tokens; cut the columns off"]
    return []


def _length(row: NDArray[Any]) -> int:
    import numpy as np

    # Up to the last label that counts: -100 inside a sentence is a token that is not judged.
    places = np.nonzero(row != _IGNORE)[0]
    return int(places[-1]) + 1 if len(places) else 0


def model_inputs(folder: Path, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What model.onnx in `folder` takes for these inputs: text as ids by its text.json, numbers as they are.

    Raises Rejected when there is text and no text.json that can be read.
    """
    if not any(map(is_text, inputs.values())):
        return dict(inputs)
    try:
        pipeline = TextPipeline.read(folder / TEXT_JSON)
        return {name: pipeline.encode(texts.tolist()) for name, texts in inputs.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = "takes no text" if isinstance(error, FileNotFoundError) else f"has an unreadable {TEXT_JSON} ({error})"
        raise Rejected(f"the model {what}; train it again") from None
