"""Which data sets does model.yaml declare, and what does model.py get of each?

`fetch_sets` runs before people's code and puts every data set into the cache; `open_sets` runs beside it and gives
`data(split, sets)` and `ctx.sets` one reader a name. What a reader offers depends on the format:

| format | `sets["name"]` |
| --- | --- |
| csv | `table["column"]` → array; `table.columns`, `len(table)` |
| image-folder | `folder.split("train")` → (pictures, labels, sources); `folder.classes` |
| cifar-python | `cifar.split("train")` → (images, labels); `cifar.classes` |
| conll | `corpus.split("train")` → an iterator of sentences with `tokens` and `tags` |
| files | `set.path` only |

Every reader has `path`, the folder (or the one file) that was fetched, so that code may read it in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hera_workflows.learning.datasets.fetch import Fetched, fetch
from slipway.spec import DataSource

__all__ = ["Fetched", "Files", "fetch_sets", "open_sets"]


class Files:
    """A data set that people's code reads itself."""

    def __init__(self, fetched: Fetched) -> None:
        self.path = fetched.path


def fetch_sets(declared: Mapping[str, DataSource], beside: Path, cache: Path) -> dict[str, Fetched]:
    """Every declared data set, verified, in `cache`; relative URLs are files in the folder `beside`.

    Raises Rejected when a content is not the declared one, TryAgain when a server is away or stalls (the next call
    goes on where this one was), Misconfigured when a URL's scheme needs a package that is not installed.
    """
    return {name: fetch(name, source, beside, cache) for name, source in declared.items()}


def open_sets(fetched: Mapping[str, Fetched]) -> dict[str, Any]:
    """One reader for each data set."""
    return {name: _reader(name, each) for name, each in fetched.items()}


def _reader(name: str, fetched: Fetched) -> Any:
    if fetched.format == "csv":
        from hera_workflows.learning.datasets.table import Table

        return Table(name, fetched)
    if fetched.format == "conll":
        from hera_workflows.learning.datasets.conll import Corpus

        return Corpus(name, fetched)
    if fetched.format == "cifar-python":
        from hera_workflows.learning.datasets.cifar import Cifar

        return Cifar(name, fetched)
    if fetched.format == "image-folder":
        from hera_workflows.learning.datasets.images import ImageFolder

        return ImageFolder(name, fetched)
    return Files(fetched)
