"""Which persons, places, organisations and other names does a sentence mention?"""

import numpy as np
import torch
from torch import nn

from hera_workflows.learning.text import encode, label, vocabulary_of

CLASSES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-MISC", "I-MISC"]


def data(split, sets):
    """(texts, labels, slices) of one split; labels: (sentences, tokens), -100 where a sentence has ended."""
    texts, labels = label(sets["corpus"].split(split), CLASSES)
    known = {name for sentence in sets["corpus"].split("train") for name in names(sentence)}
    new = [not known.issuperset(names(sentence)) for sentence in sets["corpus"].split(split)]
    return {"text": texts}, labels, {"names": np.where(new, "new", "known")}


def names(sentence):
    """The words of a sentence that belong to a name."""
    return [word for word, tag in zip(sentence.tokens, sentence.tags, strict=True) if tag != "O"]


class Tagger(nn.Module):
    """A GRU from either end over the words' embeddings; (n, tokens) ids → (n, tokens, classes) logits.

    Id 0 is padding. A GRU that starts at the right end would begin in the padding, so each row is turned around
    within its own length instead.
    """

    def __init__(self, vocabulary, width):
        super().__init__()
        self.vocabulary = vocabulary  # goes with the version: the server makes the same ids of a client's text
        self.embed = nn.Embedding(len(vocabulary), width, padding_idx=0)
        self.drop = nn.Dropout(0.3)
        self.right = nn.GRU(width, width, batch_first=True)
        self.left = nn.GRU(width, width, batch_first=True)
        self.decide = nn.Linear(2 * width, len(CLASSES))

    def forward(self, text):
        place = torch.arange(text.shape[1], device=text.device)
        length = (text != 0).sum(dim=1, keepdim=True)
        turned = torch.where(place < length, length - 1 - place, place).unsqueeze(-1)
        words = self.drop(self.embed(text))
        right, _ = self.right(words)
        left, _ = self.left(words.gather(1, turned.expand_as(words)))
        left = left.gather(1, turned.expand_as(left))
        return self.decide(self.drop(torch.cat([right, left], dim=-1)))


def train(ctx):
    """The trained module."""
    inputs, labels, _ = data("train", ctx.sets)
    # Words that occur once stay unknown, so that the tagger learns what to make of a word it does not know.
    vocabulary = vocabulary_of(inputs["text"], at_least=2)
    model = Tagger(vocabulary, ctx.params["width"]).to(ctx.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=ctx.params["lr"])
    for _ in ctx.epochs(model=model, optimizer=optimizer):
        model.train()
        for x, y in ctx.batches(encode(inputs["text"], vocabulary), labels, size=32):
            longest = (x != 0).sum(dim=1).max()
            logits = model(x[:, :longest])
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), y[:, :longest].flatten(), ignore_index=-100)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ctx.progress(loss=loss)
    return model
