"""Who published a version? manifest.sig says so: a signature over the bytes of manifest.json.

The manifest names every file with its hash, and the version's name, number and commit, so one signature covers all.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from slipway.errors import Misconfigured, Rejected

__all__ = ["generate_keys", "sign", "verify"]


def generate_keys(private: Path, public: Path) -> None:
    """Write a new P-256 key pair as PEM, private 0600; existing keys stay as they are."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )

    key = ec.generate_private_key(ec.SECP256R1())
    _create(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    # From the file: an earlier call, or one at this moment, may have been faster.
    kept = load_pem_private_key(private.read_bytes(), password=None)
    _create(public, kept.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # 0600 from the start
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            os.link(file.name, path)
    except FileExistsError:
        pass
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}; choose a folder for keys that can be written") from None


def sign(manifest: bytes, private_key: Path) -> bytes:
    """The signature over a manifest's bytes; raises Misconfigured when the key cannot be used."""
    from model_signing import signing

    if not private_key.is_file():
        raise Misconfigured(f"the signing key {private_key} does not exist; `slipway up` makes one, or mount yours")
    with tempfile.TemporaryDirectory() as folder:
        # model-signing signs files, so the bytes become one; its name is not part of what is signed.
        content, signature = Path(folder, "manifest.json"), Path(folder, "manifest.sig")
        content.write_bytes(manifest)
        try:
            config: Any = signing.Config()
            config.use_elliptic_key_signer(private_key=private_key).sign(content, signature)
        except (ValueError, TypeError, OSError) as error:
            raise Misconfigured(f"{private_key} is not a private P-256 key in PEM ({error}); mount another") from None
        return signature.read_bytes()


def verify(manifest: bytes, signature: bytes, public_key: Path, where: str) -> None:
    """Raise Rejected, naming `where`, unless the signature is over these bytes and by this key."""
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    if not public_key.is_file():
        raise Misconfigured(f"VERIFY_KEY {public_key} does not exist; point it at the publisher's public key")
    with tempfile.TemporaryDirectory() as folder:
        content, signed = Path(folder, "manifest.json"), Path(folder, "manifest.sig")
        content.write_bytes(manifest)
        signed.write_bytes(signature)
        try:
            config: Any = verifying.Config()
            config.use_elliptic_key_verifier(public_key=public_key)
        except (ValueError, TypeError) as error:
            raise Misconfigured(f"VERIFY_KEY {public_key} is not a public key in PEM ({error}); replace it") from None
        try:
            config.verify(content, signed)
        # The signature is hostile JSON that model-signing reads without checking its shape first.
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError, InvalidSignature) as error:
            raise Rejected(
                f"{where}: the signature does not match the manifest and {public_key} "
                f"({type(error).__name__}); do not serve it, publish it again"
            ) from None
