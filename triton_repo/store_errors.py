"""Which of the three families is what a store's file system or driver said?"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slipway.errors import Misconfigured, Rejected, SlipwayError, TryAgain

__all__ = ["driver_errors", "store_errors"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.ENOTDIR)
_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that this bucket accepts"


@contextmanager
def store_errors(where: str) -> Iterator[None]:
    """Turn what the file system or the bucket's driver says into one of the three families, naming `where`."""
    try:
        with driver_errors(where, "MODEL_STORE"):
            yield
    except OSError as error:
        raise _of_system(where, error) from None


@contextmanager
def driver_errors(where: str, setting: str) -> Iterator[None]:
    """The same of a bucket's driver and server alone, for a URL that people wrote into `setting`."""
    try:
        yield
    except OSError as error:
        if (told := _of_server(where, error.__cause__, setting)) is None:
            raise
        raise told from None
    except _drivers() as error:
        raise _of_server(where, error, setting) or _of_driver(where, error, setting) from None


def _of_system(where: str, error: OSError) -> SlipwayError:
    said = error.strerror or str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return Rejected(f"{where}: {error.filename or error} does not exist; `slipway models` lists what does")
    if error.errno in _FULL:
        return TryAgain(f"{where}: {said}; make room, for instance with `slipway gc`, and run this again")
    if error.errno in _FORBIDDEN or isinstance(error, PermissionError):
        return Misconfigured(f"{where}: {said}; give this user the right to write there, or correct it")
    return TryAgain(f"{where}: {said}; run this again when the store answers")


def _of_server(where: str, answer: BaseException | None, setting: str) -> SlipwayError | None:
    """What an S3 server's refusal means; None when this is not one, or the file is simply absent."""
    response: dict[str, Any] = getattr(answer, "response", None) or {}
    said, code = response.get("Error", {}), str(response.get("Error", {}).get("Code", ""))[:60]
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in ("NoSuchBucket", "InvalidBucketName"):
        return Misconfigured(f"{where}: the bucket does not exist; create it, or correct {setting}")
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
        return Misconfigured(f"{where}: the bucket is in another region; set AWS_DEFAULT_REGION to it")
    if code in ("NoSuchUpload", "RequestTimeTooSkewed", "InternalError", "SlowDown") or status >= 500:
        return TryAgain(f"{where}: the store answered {code or status}; run this again when it is well")
    if status in (401, 403) or code in ("InvalidAccessKeyId", "XAdminUserNotFound"):
        # Only the code: what else a server says of a refused request may quote it.
        return Misconfigured(f"{where}: the store refused these credentials ({code or status}); {_KEYS}")
    if said and status not in (0, 404):
        return TryAgain(f"{where}: the store answered {status} {code}; run this again, or see the server's log")
    return None


def _drivers() -> tuple[type[Exception], ...]:
    """What the S3 driver raises that is no OSError; nothing while no driver is loaded."""
    botocore, aiohttp = sys.modules.get("botocore.exceptions"), sys.modules.get("aiohttp")
    return (botocore.BotoCoreError, botocore.ClientError, aiohttp.ClientError) if botocore and aiohttp else ()


def _of_driver(where: str, error: Exception, setting: str) -> SlipwayError:
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
        return Misconfigured(f"{where}: no credentials were given; {_KEYS}")
    if kind in ("ParamValidationError", "ProfileNotFound", "InvalidRegionError"):
        return Misconfigured(f"{where}: {str(error).splitlines()[0]}; correct {setting} or the AWS_ settings")
    return TryAgain(f"{where}: the store does not answer ({kind}); check AWS_ENDPOINT_URL, or run this again later")
