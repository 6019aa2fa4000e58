"""Has the operator brought every Secret, with every key, and is none of them a bad one?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hera_workflows.doctor.finding import Finding, missing, note, ok
from hera_workflows.doctor.installation import Installation
from hera_workflows.templates.values import Values

__all__ = ["SHORTEST", "Wanted", "check", "judge", "judge_pair", "wanted"]

SHORTEST = 16  # bytes of a webhook secret; fewer can be guessed offline from one delivery
_S3 = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_TLS = ("tls.crt", "tls.key")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One Secret that should be there."""

    namespace: str
    name: str
    keys: tuple[str, ...]
    use: str  # what does not work without it
    shortest: int = 1  # bytes of each value
    optional: bool = False


def check(installation: Installation) -> Iterator[Finding]:
    """A finding for each Secret, and for each place that verifies, whether its key is the one that signs."""
    values = installation.values
    for each in wanted(values):
        yield judge(each, installation.secret(each.namespace, each.name))
    signing = (installation.secret(values.namespace, values.secrets.signing) or {}).get("signing.key")
    for namespace in (values.namespace, *values.environments):
        public = (installation.secret(namespace, values.secrets.verify) or {}).get("signing.pub")
        if signing and public:
            yield judge_pair(namespace, signing, public)


def wanted(values: Values) -> list[Wanted]:
    """Every Secret that an installation with these values reads."""
    ours, names = values.namespace, values.secrets
    found = [
        Wanted(ours, names.webhook, ("secret",), "deliveries of the forge; an empty one accepts everybody's", SHORTEST),
        Wanted(ours, names.signing, ("signing.key",), "publish"),
        *(Wanted(n, names.verify, ("signing.pub",), "fetching versions") for n in (ours, *values.environments)),
        Wanted(ours, names.git_read, ("credentials",), "reading private repositories", optional=True),
        Wanted(ours, names.git_write, ("credentials",), "releases"),
        Wanted(ours, names.forge, ("token",), "pull requests"),
        Wanted(ours, names.forge_source, ("token",), "statuses of pushed commits"),
        Wanted(ours, names.notify, ("url",), "messages to people", optional=True),
    ]
    if not values.store_is_volume:
        found.append(Wanted(ours, names.store_write, _S3, "publish and gc"))
        found += [Wanted(n, names.store_read, _S3, "fetching versions") for n in (ours, *values.environments)]
    if values.artifacts:
        found.append(Wanted(ours, names.artifacts, (), "archived logs and reports"))
    if values.webhook.host and values.webhook.tls_secret:
        found.append(Wanted(ours, values.webhook.tls_secret, _TLS, "deliveries of the forge by HTTPS"))
    if values.event_bus.kind == "exotic" and values.event_bus.access_secret:
        found.append(Wanted(ours, values.event_bus.access_secret, ("password",), "the event bus"))
    return found


def judge(secret: Wanted, found: Mapping[str, bytes] | None) -> Finding:
    """found: its values by key; None when it does not exist."""
    subject = f"secret {secret.namespace}/{secret.name}"
    create = f"kubectl -n {secret.namespace} create secret {_what(secret)}".rstrip()
    if found is None and secret.optional:
        return note(subject, f"does not exist; it is for {secret.use}", create)
    if found is None:
        return missing(subject, f"does not exist; it is for {secret.use}", create)
    bad = [
        f"{key} is {'absent' if key not in found else 'empty' if not found[key].strip() else 'too short'}"
        for key in secret.keys
        if len(found.get(key, b"").strip()) < secret.shortest
    ]
    if bad:
        least = f" (at least {secret.shortest} bytes)" if secret.shortest > 1 else ""
        return missing(subject, f"{', '.join(bad)}; it is for {secret.use}", f"delete it, then {create}{least}")
    return ok(subject, f"has {', '.join(secret.keys)}" if secret.keys else "is there")


def judge_pair(namespace: str, signing: bytes, public: bytes) -> Finding:
    """signing: the private, public: the public key, as PEM."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    subject = f"verify key in {namespace}"
    try:
        same = load_pem_private_key(signing, password=None).public_key() == load_pem_public_key(public)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return missing(
            subject, f"no pair of PEM keys ({type(error).__name__})", "make a P-256 pair and bring both Secrets"
        )
    if not same:
        return missing(
            subject,
            "is not the public half of the key that signs, so that no server starts",
            "bring the same pair to every namespace",
        )
    return ok(subject, "is the public half of the key that signs")


def _what(secret: Wanted) -> str:
    if secret.keys == _TLS:
        return f"tls {secret.name} --cert=FILE --key=FILE"
    return f"generic {secret.name} {' '.join(f'--from-file={key}=FILE' for key in secret.keys)}"
