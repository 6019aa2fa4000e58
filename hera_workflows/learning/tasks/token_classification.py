"""Token classification: a class for each token of a sequence, such as names in a text.

Labels of -100 are ignored (padding, pieces of words). Entities are read in BIO: `B-PER` begins one, `I-PER` goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from hera_workflows.learning import classification

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hera_workflows.learning.tasks import Direction

NAME: Final = "token-classification"
OUTPUT: Final = "probabilities"
CLASSIFIES: Final = True
METRICS: Final[Mapping[str, Direction]] = {
    "entity_f1": "higher",
    "entity_precision": "higher",
    "entity_recall": "higher",
    **classification.METRICS,
}
PER_CLASS: Final = classification.PER_CLASS
UNPAIRED: Final[Sequence[str]] = ()
PRIMARY: Final = "entity_f1"
IGNORE: Final = -100

check_output = classification.check_output
class_names = classification.class_names


def head(module: Any, *, keywords: bool) -> Any:
    """(n, tokens, classes) logits → (n, tokens, classes) probabilities."""
    from hera_workflows.learning.heads import ProbabilityHead

    return ProbabilityHead(module, keywords=keywords)


def check_classes(classes: Sequence[str] | None) -> list[str]:
    """Sentences; BIO names are needed, because they say what an entity is."""
    wrong = [name for name in classes or () if name != "O" and name[:2] not in ("B-", "I-")]
    if classes is None or len(classes) < 2 or wrong:
        what = f"class {wrong[0]!r} is not BIO" if wrong else "classes are missing"
        return [f"{what}; list them in the order of their number, such as [O, B-PER, I-PER]"]
    return []


def check_labels(labels: NDArray[Any], classes: Sequence[str] | None) -> list[str]:
    """Sentences; labels: (n, tokens) whole numbers from 0, or -100 for tokens that do not count."""
    return classification.label_problems(labels, 2, classes, IGNORE)


def statistics(metric: str, p: NDArray[Any], y: NDArray[Any], names: Sequence[str]) -> NDArray[np.float64]:
    """(n, k): sums over each sequence's tokens, and their number; a sequence is one sample, its tokens are not."""
    import numpy as np

    if metric in ("entity_f1", "entity_precision", "entity_recall"):
        return entity_counts(p.argmax(axis=-1), y, names)
    counted = y != IGNORE
    row = np.nonzero(counted)[0]
    each = classification.statistics(metric, p[counted], y[counted], names)
    sums = np.zeros((len(y), each.shape[1] + 1))
    np.add.at(sums[:, :-1], row, each)
    sums[:, -1] = counted.sum(axis=1)
    return sums


def combine(metric: str, means: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """(..., k) means of `statistics` → (...,) values."""
    import numpy as np

    if metric not in ("entity_f1", "entity_precision", "entity_recall"):
        tokens = np.maximum(means[..., -1:], np.finfo(np.float64).tiny)
        return classification.combine(metric, means[..., :-1] / tokens, names)
    both, said, true = means[..., 0], means[..., 1], means[..., 2]
    over = {"entity_precision": said, "entity_recall": true, "entity_f1": (said + true) / 2}[metric]
    return np.divide(both, over, out=np.zeros_like(both), where=over > 0)


def evaluate(p: NDArray[Any], y: NDArray[Any], names: Sequence[str]) -> dict[str, Any]:
    """`metrics` over tokens and over entities, and the tokens' `confusion`."""
    counted = y != IGNORE
    result = classification.evaluate(p[counted], y[counted], names)
    means = statistics("entity_f1", p, y, names).mean(axis=0)
    entities = {name: float(combine(name, means, names)) for name in METRICS if name.startswith("entity_")}
    return {**result, "metrics": entities | result["metrics"]}


def entity_counts(predicted: NDArray[Any], y: NDArray[Any], names: Sequence[str]) -> NDArray[np.float64]:
    """(n, 3): entities that are right, predicted, and true in each sequence.

    An entity is right when its first token, its last token and its type are. `I-X` that follows nothing of type X
    begins an entity, as in conlleval. Source: Tjong Kim Sang and De Meulder 2003, CoNLL-2003 shared task, section 4.
    """
    import numpy as np

    counted = y != IGNORE
    row = np.nonzero(counted)[0]
    spans = [_spans(labels[counted], row, names) for labels in (predicted, y)]
    found = np.zeros((len(y), 3))
    for column, (start, _, _) in enumerate(spans, start=1):
        found[:, column] = np.bincount(row[start], minlength=len(y))
    said, true = (np.stack(span, axis=1) for span in spans)
    # Starts are unique within each list, so entities match where start, end and kind do.
    same = {tuple(span) for span in true.tolist()}
    right = [start for start, end, kind in said.tolist() if (start, end, kind) in same]
    found[:, 0] = np.bincount(row[right], minlength=len(y)) if right else 0
    return found


def _spans(
    labels: NDArray[Any], row: NDArray[Any], names: Sequence[str]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """First token, last token and type of each entity, in the flat list of tokens."""
    import numpy as np

    types = sorted({name[2:] for name in names if name != "O"})
    kinds = np.array([-1 if name == "O" else types.index(name[2:]) for name in names])
    kind, begins = kinds[labels], np.array([name.startswith("B-") for name in names])[labels]
    inside, same_row = kind >= 0, np.diff(row, prepend=-1) == 0
    goes_on = inside & ~begins & same_row & (kind == np.roll(kind, 1))
    goes_on[:1] = False
    start = np.nonzero(inside & ~goes_on)[0]
    last = np.nonzero(inside & ~np.append(goes_on[1:], False))[0]
    return start, last, kind[start]


EXAMPLE_YAML: Final = """\
name: {name}
task: token-classification
classes: [O, B-PER, I-PER, B-LOC, I-LOC]   # in the order of their number; B- begins a name, I- goes on
train:
  params: {{epochs: 8, lr: 0.01}}
gates:
  entity_f1: ">= 0.90"
  champion: {{metric: entity_f1, margin: 0.05}}
serving: {{max_batch: 32}}
promotion: {{min_requests: 200, soak: 1m, replay: 300, approval: pull-request}}
"""

EXAMPLE_PY: Final = '''\
"""Find people and places in short messages. The messages are made up here; put your own texts in their place."""

import numpy as np
import torch
from torch import nn

TOKENS = 12
PEOPLE = ["ada", "grace", "alan", "paris", "florence", "austin"]
FAMILIES = ["hopper", "turing", "lovelace", "london", "york"]
PLACES = ["paris", "florence", "austin", "london", "york", "oslo"]
OTHERS = "please call mr ms about the trip to in near from meet we will at noon today new".split()
WORDS = ["<pad>", *sorted({*PEOPLE, *FAMILIES, *PLACES, *OTHERS})]
NUMBER = {word: index for index, word in enumerate(WORDS)}


def message(draw):
    """[(word, label), …]; "paris" is a person after "mr" or "ms", and a place after "to", "in", "near" or "from"."""
    words = []
    for _ in range(draw.integers(2, 4)):
        words += [(str(word), 0) for word in draw.choice(["please", "call", "meet", "we", "will"], draw.integers(0, 3))]
        if draw.random() < 0.5:
            words += [(str(draw.choice(["mr", "ms"])), 0), (str(draw.choice(PEOPLE)), 1)]
            words += [(str(draw.choice(FAMILIES)), 2)] if draw.random() < 0.5 else []
        else:
            words += [(str(draw.choice(["to", "in", "near", "from"])), 0)]
            words += [("new", 3), ("york", 4)] if draw.random() < 0.3 else [(str(draw.choice(PLACES)), 3)]
    return words[:TOKENS]


def data(split):
    """(words, labels) of one split, both (messages, tokens); -100 marks padding, which does not count."""
    seed, count = {"train": (1, 1500), "validation": (2, 200), "test": (3, 400)}[split]
    draw = np.random.default_rng(seed)
    words, labels = np.zeros((count, TOKENS), "int64"), np.full((count, TOKENS), -100, "int64")
    for row in range(count):
        for column, (word, label) in enumerate(message(draw)):
            words[row, column], labels[row, column] = NUMBER[word], label
    return words, labels


class Tagger(nn.Module):
    """Looks at each word and two words to either side; (n, tokens) → (n, tokens, 5) logits."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(WORDS), 16)
        self.look = nn.Conv1d(16, 32, 5, padding=2)
        self.decide = nn.Linear(32, 5)

    def forward(self, words):
        return self.decide(torch.relu(self.look(self.embed(words).transpose(1, 2))).transpose(1, 2))


def train(ctx):
    """The trained module: it takes what data() gives and returns a logit for each token and class."""
    words, labels = data("train")
    model = Tagger().to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ctx.params["lr"])
    for _ in ctx.epochs(model=model, optimizer=optimizer):
        for x, y in ctx.batches(words, labels, size=32):
            with ctx.autocast():
                loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten(), ignore_index=-100)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
    return model
'''
