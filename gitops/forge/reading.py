"""How is a forge's JSON read without trusting it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from slipway.errors import Misconfigured, Rejected, first_problem
from slipway.text import one_line

if TYPE_CHECKING:
    import httpx

__all__ = ["Answer", "Line", "Url", "When", "more", "pages", "read"]

_MOST_PAGES = 20

T = TypeVar("T", bound=BaseModel)

Url = Annotated[str, StringConstraints(pattern=r"^https?://[!#-;=?-~]{1,2000}$")]  # no quote, no <, >, no white space
Line = Annotated[str, AfterValidator(one_line), StringConstraints(max_length=1000)]
When = AwareDatetime


class Answer(BaseModel):
    """What is read of a forge's JSON; everything else in it is left unread."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def read(kind: type[T], content: Any, where: str) -> T:
    """One value of a forge's answer; raises Misconfigured, naming `where`, when it is not what the API documents."""
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        raise Misconfigured(
            f"{where} answers, but not as its API says ({first_problem(error)}); check --forge and --forge-url"
        ) from None


def more(answer: httpx.Response) -> bool:
    """Whether the forge's Link header names a next page.

    Only its being there counts: the URL in it is the forge's, and nobody follows it.
    """
    return "next" in answer.links


def pages(fetch: Callable[[int], tuple[Any, bool]], what: str) -> Iterator[Any]:
    """The items of every page; `fetch` gets 1, 2, … and answers with that page's, and whether more may follow.

    A page without items is the last one. Raises Rejected beyond 20 pages.
    """
    for page in range(1, _MOST_PAGES + 1):
        items, follow = fetch(page)
        if not isinstance(items, list):
            raise Misconfigured(f"{what}: the forge answers, but not with a list; check --forge and --forge-url")
        yield from items
        if not follow or not items:
            return
    raise Rejected(f"{what}: more than {_MOST_PAGES} pages; close or delete what is no longer needed")
