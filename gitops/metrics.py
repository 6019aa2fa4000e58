"""What did each served version do? Prometheus's answer, for all environments and models at once."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from gitops.layout import kubernetes_name
from gitops.promql import ERROR_RESPONSE, Queries, queries
from slipway.errors import Misconfigured, TryAgain

__all__ = ["WINDOW", "LiveMetrics", "Measured", "Measurements", "PrometheusMetrics"]

# How far back requests and failures count: long enough for quiet environments, short enough to forget last week.
WINDOW = timedelta(days=1)
_REACHES = 3  # attempts at a connection or a 5xx, a fraction of a second apart

_Key = tuple[str, ...]
_Table = dict[_Key, float | None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One version in one environment; None is absent, empty, NaN or infinite."""

    replicas: int | None
    ready_replicas: int | None  # 0 when the environment is watched and no server has the version
    ready_since: datetime | None
    requests: float | None
    failures: dict[str, float] | None  # by Triton's reason; those above zero
    p95_ms: float | None
    p95_requests: float | None  # at most so many requests are what p95_ms was measured of
    window: timedelta  # that the counts cover


@dataclass(frozen=True, slots=True)
class Measurements:
    """The answers to all questions at one moment."""

    at: datetime  # by Prometheus's clock, as every other moment here
    window: timedelta
    tables: Mapping[str, _Table] = field(repr=False)
    began: Sequence[tuple[timedelta, _Table]] = field(repr=False)  # when, as far as each span shows it; shortest first
    failures: Mapping[_Key, dict[str, float | None]] = field(repr=False)  # by version and reason, without zeros

    def of(self, environment: str, model: str, number: int) -> Measured:
        """What was measured of one version; raises Misconfigured when its series stand twice."""
        key = (environment, model, str(number))
        if key in self.tables["duplicates"]:
            raise Misconfigured(
                f"Prometheus has several series for {model}@{number} of one server in {environment}; "
                "let one scrape job with job=triton watch each server"
            )
        replicas = self._count("replicas", (environment, kubernetes_name(model)))
        if replicas is None:
            replicas = self._count("replicas", (environment, ""))
        ready = self._count("ready_replicas", key)
        if ready is None and replicas is not None:
            ready = 0
        since = self._ready_since(key) if ready and ready == replicas else None
        return Measured(
            replicas=replicas,
            ready_replicas=ready,
            ready_since=since,
            requests=self._requests(key),
            failures=self._failures(key),
            p95_ms=None if (p95 := self.tables["p95_us"].get(key)) is None else p95 / 1000,
            p95_requests=self.tables["lately"].get(key),
            window=self.window if since is None else min(self.window, self.at - since),
        )

    def _count(self, table: str, key: _Key) -> int | None:
        value = self.tables[table].get(key)
        return None if value is None else int(value)

    def _ready_since(self, key: _Key) -> datetime | None:
        latest = self.at
        for span, table in self.began:
            if key in table:
                seconds = table[key]
                if seconds is None or seconds > self.at.timestamp():
                    return None
                # The steps of a long span are coarse; that a shorter one shows no beginning is known better.
                return min(latest, datetime.fromtimestamp(seconds, UTC))
            latest = self.at - span
        return latest

    def _requests(self, key: _Key) -> float | None:
        successes, failures = self.tables["successes"].get(key), self._failures(key)
        if successes is None or failures is None:
            return None
        return successes + sum(count for reason, count in failures.items() if reason != ERROR_RESPONSE)

    def _failures(self, key: _Key) -> dict[str, float] | None:
        if not self.tables["failure_series"].get(key):
            return None
        found = {reason: value for reason, value in self.failures.get(key, {}).items() if value is not None}
        # A reason without a number must not pass for a reason without failures.
        return found if len(found) == len(self.failures.get(key, {})) else None


class LiveMetrics(Protocol):
    """Where measurements come from."""

    def measure(
        self,
        *,
        window: timedelta = WINDOW,
        span: timedelta,
        finer: Collection[timedelta] = (),
        only: Mapping[str, str] | None = None,
    ) -> Measurements:
        """Everything that is known now of the versions whose labels are those of `only`.

        `span`: readiness is dated within this stretch, to 1/60 of it; before it, "at least so long ago".
        `finer`: shorter stretches, within which it is dated to 1/60 of those.
        Raises TryAgain if the source cannot be reached, Misconfigured if it answers what it should not.
        """


class PrometheusMetrics:
    """LiveMetrics over Prometheus's HTTP API: ten queries and one for each finer span, for any number of models."""

    def __init__(self, url: str, *, timeout: float = 10.0, job: str = "triton") -> None:
        """`timeout`: seconds that one query may take."""
        import requests
        from prometheus_api_client.prometheus_connect import PrometheusConnect
        from urllib3 import Retry

        if not url.startswith(("http://", "https://")):
            raise self._no_url(url)
        self._url, self._job, self._timeout = url.rstrip("/"), job, timeout
        self._session = requests.Session()
        self._session.hooks["response"].append(self._refuse)
        # A query that was too slow once is not sent again: that would only add to the load.
        retry = Retry(
            connect=_REACHES - 1,
            read=0,
            status=_REACHES - 1,
            backoff_factor=0.2,
            status_forcelist=(500, 502, 503, 504),
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        try:
            self._client = PrometheusConnect(self._url, session=self._session, retry=retry, timeout=timeout)  # type: ignore[arg-type]
        except ValueError:
            raise self._no_url(url) from None

    def __enter__(self) -> PrometheusMetrics:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def measure(
        self,
        *,
        window: timedelta = WINDOW,
        span: timedelta,
        finer: Collection[timedelta] = (),
        only: Mapping[str, str] | None = None,
    ) -> Measurements:
        """See LiveMetrics.measure."""
        asked = queries(window, span, only or {}, self._job)
        at = self._clock()
        labels = {"replicas": ("environment", "serves"), "failures": (*_LABELS, "reason")}
        tables = {
            question.name: self._table(text, labels.get(question.name, _LABELS), at)
            for question, text in zip(fields(Queries), astuple(asked), strict=True)
        }
        failures: dict[_Key, dict[str, float | None]] = {}
        for (*key, reason), value in tables.pop("failures").items():
            failures.setdefault(tuple(key), {})[reason] = value
        began = [(span, tables.pop("ready_since"))]
        for each in finer:
            question = queries(window, each, only or {}, self._job).ready_since
            began.append((each, self._table(question, _LABELS, at)))
        began.sort(key=lambda dated: dated[0])
        return Measurements(datetime.fromtimestamp(at, UTC), window, tables, began, failures)

    def _clock(self) -> float:
        # Soaking time is a difference of two moments; taking both from Prometheus leaves skewed clocks out of it.
        answer = self._ask("time()", {})
        try:
            at = float(answer[1])
            datetime.fromtimestamp(at, UTC)
            return at
        except (ValueError, TypeError, LookupError, OverflowError, OSError):
            raise self._not_prometheus(f"its clock says {str(answer)[:80]!r}") from None

    def _table(self, query: str, labels: _Key, at: float) -> _Table:
        table: _Table = {}
        try:
            for row in self._ask(query, {"time": repr(at)}):
                key = tuple(row["metric"].get(label, "") for label in labels)
                if key in table:
                    raise Misconfigured(f"{self._url} gave several series for {', '.join(key)}; one was meant")
                table[key] = _number(row["value"][1])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise self._not_prometheus(f"a row without {error}") from None
        return table

    def _ask(self, query: str, params: dict[str, str]) -> Any:
        from requests import RequestException
        from requests.exceptions import InvalidURL, JSONDecodeError

        params = {**params, "timeout": f"{max(1, int(self._timeout))}s"}
        try:
            return self._client.custom_query(query, params)
        except InvalidURL:
            raise self._no_url(self._url) from None
        except (JSONDecodeError, KeyError, TypeError, ValueError):
            raise self._not_prometheus("the answer is not its JSON") from None
        except RequestException as error:
            raise TryAgain(
                f"Prometheus at {self._url} does not answer ({_cause(error)}); "
                "see that it runs; nothing was promoted or rolled back"
            ) from None

    def _refuse(self, response: Any, *_: object, **__: object) -> None:
        status = response.status_code
        if status == 200 or response.is_redirect:
            return
        if status < 400:
            raise self._not_prometheus(f"with status {status}")
        text = " ".join(response.text[:300].split())
        if status >= 500 or status in (408, 429):
            raise TryAgain(f"Prometheus at {self._url} answers {status} ({text}); run again when it has recovered")
        raise Misconfigured(f"Prometheus at {self._url} refuses with {status} ({text}); check PROMETHEUS_URL")

    @staticmethod
    def _no_url(url: str) -> Misconfigured:
        return Misconfigured(f"{url[:200]!r} is not the URL of a Prometheus; set PROMETHEUS_URL to http://host:port")

    def _not_prometheus(self, what: str) -> Misconfigured:
        return Misconfigured(f"{self._url} answers, but not as a Prometheus does ({what}); check PROMETHEUS_URL")


_LABELS = ("environment", "model", "version")


def _number(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) and value >= 0 else None


def _cause(error: BaseException) -> str:
    # requests wraps urllib3, which wraps the socket's error; the innermost says it in a word.
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason or error).__name__
