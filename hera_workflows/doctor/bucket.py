"""Can the bucket be written with the credential that publish has, and read with the one that the servers have?"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

from hera_workflows.doctor.finding import Finding, missing, note, ok, unknown
from hera_workflows.doctor.installation import Installation, borrowed
from slipway.errors import SlipwayError, TryAgain

__all__ = ["check", "judge", "judge_refused"]

# What is set for whoever runs doctor must not fill in for what a Secret lacks.
_NONE = dict.fromkeys(
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_PROFILE")
)


def check(installation: Installation) -> Iterator[Finding]:
    """Of a store in a bucket: written, read, and not written with what only reads; of a volume, who can tell."""
    values = installation.values
    if values.store_is_volume:
        yield note(
            "store",
            f"lies on the volume of claim {values.store_claim}; only a pod can tell whether it can be written",
            "slipway's publish step says so in its log",
        )
        return
    names = values.secrets
    writer, reader = (installation.secret(values.namespace, name) for name in (names.store_write, names.store_read))
    if writer:
        yield judge(
            f"{values.store} written with {names.store_write}", "put and delete", _written(values.store, writer)
        )
    if reader:
        read = _read(values.store, reader)
        yield judge(f"{values.store} read with {names.store_read}", "list and get", read)
        # Where reading fails, too, that writing does says nothing.
        if read is None:
            yield judge_refused(f"{values.store} kept from {names.store_read}", _written(values.store, reader))


def judge(subject: str, verbs: str, error: SlipwayError | None) -> Finding:
    """error: what the attempt ended with; None when it was let in."""
    if error is None:
        return ok(subject, "is let in")
    return missing(subject, str(error), f"let that key {verbs} objects under the store's prefix")


def judge_refused(subject: str, error: SlipwayError | None) -> Finding:
    """error: what the attempt to write with the key that only reads ended with."""
    if error is None:
        return missing(subject, "is let in, and every server has that key", "take its right to write away")
    if isinstance(error, TryAgain):
        return unknown(subject, str(error), "run slipway doctor again: no answer is no refusal")
    return ok(subject, "is refused, as it should be")


def _written(store: str, credential: Mapping[str, bytes]) -> SlipwayError | None:
    from triton_repo.store import open_store
    from triton_repo.store_errors import store_errors

    with borrowed(_environment(credential)):
        try:
            opened = open_store(store)
            path = opened.path(f".doctor-{uuid.uuid4().hex}")  # no model's name begins with a dot
            with store_errors(store):
                opened.fs.pipe_file(path, b"slipway doctor\n")
                opened.fs.rm_file(path)
        except SlipwayError as error:
            return error
    return None


def _read(store: str, credential: Mapping[str, bytes]) -> SlipwayError | None:
    from triton_repo.store import open_store

    with borrowed(_environment(credential)):
        try:
            open_store(store).names()
        except SlipwayError as error:
            return error
    return None


def _environment(credential: Mapping[str, bytes]) -> dict[str, str | None]:
    given = {key: value.decode(errors="replace").strip() for key, value in credential.items() if key.startswith("AWS_")}
    return {**_NONE, **given}
