"""Who may do what with the bucket of models?"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from slipway.errors import TryAgain
from tests.cluster.secrets import remembered
from tests.cluster.services import S3, S3_USER

if TYPE_CHECKING:
    from tests.cluster.place import Place

__all__ = ["MODELS", "READER", "WRITER", "administrator", "key", "share"]

MODELS = "models"
READER, WRITER = "models-reader", "models-writer"
_LOOK = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
_READ = ["s3:GetObject"]
_WRITE = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]


def share(place: Place) -> None:
    """Give the bucket's two accounts their rights, and nobody else any. Raises TryAgain."""
    for account in (READER, WRITER):
        _account(place, account)
    administrator(place).put_bucket_policy(Bucket=MODELS, Policy=json.dumps(_policy()))


def key(place: Place, account: str) -> str:
    """The account's secret access key."""
    return remembered(place, f"s3/{account}")


def _account(place: Place, account: str) -> None:
    known = _admin(place, "list-users").split()
    if account not in known:
        _admin(place, "create-user", "--access", account, "--secret", key(place, account), "--role", "user")


def _policy() -> dict[str, Any]:
    bucket, objects = f"arn:aws:s3:::{MODELS}", f"arn:aws:s3:::{MODELS}/*"
    both = {"AWS": [READER, WRITER]}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": both, "Action": _LOOK, "Resource": bucket},
            {"Effect": "Allow", "Principal": both, "Action": _READ, "Resource": objects},
            {"Effect": "Allow", "Principal": {"AWS": [WRITER]}, "Action": _WRITE, "Resource": objects},
        ],
    }


def administrator(place: Place) -> Any:
    """An S3 client that may do everything."""
    from botocore.session import get_session

    keys = {"aws_access_key_id": S3_USER, "aws_secret_access_key": remembered(place, "s3")}
    return get_session().create_client("s3", endpoint_url=f"http://{S3}", region_name="us-east-1", **keys)


def _admin(place: Place, *arguments: str) -> str:
    program = str(place.program("versitygw", "versitygw"))
    keys = {"ADMIN_ACCESS_KEY": S3_USER, "ADMIN_SECRET_KEY": remembered(place, "s3"), "ADMIN_REGION": "us-east-1"}
    done = subprocess.run(
        [program, "admin", "--endpoint-url", f"http://{S3}", *arguments],
        env=keys,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if done.returncode:
        raise TryAgain(f"versitygw admin {arguments[0]} failed: {(done.stderr + done.stdout).strip()[-500:]}")
    return done.stdout
