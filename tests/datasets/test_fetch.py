"""A data set gets into the cache whole or not at all, and only if it is the declared one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from loopback import Site, serving

from hera_workflows.learning.datasets.transfer import Limits
from hera_workflows.learning.datasets.web import download
from slipway.errors import Misconfigured, Rejected, SlipwayError, TryAgain

CONTENT = bytes(range(256)) * 4000


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def entries(cache: Path) -> list[str]:
    """What the cache shows."""
    return sorted(path.name for path in cache.iterdir() if not path.name.startswith("."))


def test_a_file_is_fetched_and_shown_under_its_digest(get, site: Site, url: str, cache: Path):
    site.content = CONTENT
    found = get(f"{url}/points.csv", digest_of(CONTENT))
    assert found.path.read_bytes() == CONTENT
    assert (found.path.name, found.size) == ("points.csv", len(CONTENT))
    assert entries(cache) == [digest_of(CONTENT).removeprefix("sha256:")]


def test_what_is_in_the_cache_is_not_asked_for_again(get, site: Site, url: str):
    site.content = CONTENT
    get(f"{url}/points.csv", digest_of(CONTENT))
    get(f"{url}/points.csv", digest_of(CONTENT))
    assert len(site.ranges) == 1


def test_another_content_is_refused_with_both_digests(get, site: Site, url: str, cache: Path):
    site.content = b"other"
    with pytest.raises(Rejected) as caught:
        get(f"{url}/points.csv", digest_of(CONTENT))
    assert digest_of(b"other") in str(caught.value)
    assert digest_of(CONTENT) in str(caught.value)
    assert entries(cache) == []


def test_a_url_without_digest_is_refused_with_the_one_to_write(get, site: Site, url: str):
    site.content = CONTENT
    with pytest.raises(Rejected, match=rf"write `digest: {digest_of(CONTENT)}`"):
        get(f"{url}/points.csv")


def test_what_was_fetched_without_digest_need_not_be_fetched_again(get, site: Site, url: str):
    site.content = CONTENT
    with pytest.raises(Rejected):
        get(f"{url}/points.csv")
    get(f"{url}/points.csv", digest_of(CONTENT))
    assert len(site.ranges) == 1


def test_a_download_that_broke_off_goes_on_where_it_was(get, site: Site, url: str):
    site.content, site.break_after = CONTENT, 300_000
    with pytest.raises(TryAgain, match=r"broke off at byte 300000 of 1024000; run it again to go on"):
        get(f"{url}/points.csv", digest_of(CONTENT))
    site.break_after = None
    assert get(f"{url}/points.csv", digest_of(CONTENT)).path.read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=300000-"]


def test_a_content_that_changed_in_between_is_read_anew(get, site: Site, url: str):
    site.content, site.break_after = CONTENT, 300_000
    with pytest.raises(TryAgain):
        get(f"{url}/points.csv", digest_of(CONTENT[::-1]))
    site.content, site.etag, site.break_after = CONTENT[::-1], '"2"', None
    assert get(f"{url}/points.csv", digest_of(CONTENT[::-1])).path.read_bytes() == CONTENT[::-1]


def test_a_content_that_changed_behind_the_same_validator_is_noticed_and_read_anew(get, site: Site, url: str):
    site.content, site.break_after = CONTENT, 300_001
    with pytest.raises(TryAgain):
        get(f"{url}/points.csv", digest_of(CONTENT[::-1]))
    site.content, site.break_after = CONTENT[::-1], None
    assert get(f"{url}/points.csv", digest_of(CONTENT[::-1])).path.read_bytes() == CONTENT[::-1]
    assert site.ranges == [None, "bytes=300001-", None]


def test_a_server_without_a_validator_is_read_from_the_start(get, site: Site, url: str):
    site.content, site.etag, site.break_after = CONTENT, None, 300_000
    with pytest.raises(TryAgain):
        get(f"{url}/points.csv", digest_of(CONTENT))
    site.break_after = None
    get(f"{url}/points.csv", digest_of(CONTENT))
    assert site.ranges == [None, None]


def test_a_part_that_was_all_of_a_file_of_unknown_length_is_read_anew(site: Site, url: str, tmp_path: Path):
    site.content, site.length = CONTENT, False
    limits = Limits(max_bytes=1 << 30, stall=10.0, redirects=frozenset())
    for _ in range(2):
        download("points", f"{url}/points.csv", tmp_path / "points.csv", limits)
    assert (tmp_path / "points.csv").read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=1024000-", None]


def test_a_server_that_stalls_is_left_and_what_came_is_kept(get, site: Site, url: str):
    site.content, site.stall_after = CONTENT, 200_000
    with pytest.raises(TryAgain, match=r"sent nothing for 2 s; run it again to go on"):
        get(f"{url}/points.csv", digest_of(CONTENT), stall=2)
    site.stall_after = None
    get(f"{url}/points.csv", digest_of(CONTENT))
    assert site.ranges[1] == "bytes=200000-"


def test_a_redirect_to_another_host_is_refused(get, site: Site, url: str, cache: Path):
    site.redirect = "http://localhost:9/else"
    with pytest.raises(Rejected, match=r"127\.0\.0\.1 redirects to localhost:9, .* `redirects: \[localhost\]`"):
        get(f"{url}/points.csv", digest_of(CONTENT))
    assert entries(cache) == []


def test_a_redirect_to_a_declared_host_is_followed(get, site: Site, url: str):
    other = Site()
    other.content = CONTENT
    with serving(other) as elsewhere:
        site.redirect = elsewhere.replace("127.0.0.1", "localhost")
        assert get(f"{url}/points.csv", digest_of(CONTENT), redirects=["localhost"]).path.read_bytes() == CONTENT


def test_a_redirect_to_another_scheme_is_refused(get, site: Site, url: str):
    site.redirect = "ftp://127.0.0.1/points.csv"
    with pytest.raises((Rejected, TryAgain), match="ftp"):
        get(f"{url}/points.csv", digest_of(CONTENT))


def test_a_missing_file_is_refused_and_a_busy_server_is_tried_again(get, site: Site, url: str):
    site.status = 404
    with pytest.raises(Rejected, match="answers 404"):
        get(f"{url}/points.csv", digest_of(CONTENT))
    site.status = 503
    with pytest.raises(TryAgain, match="answers 503"):
        get(f"{url}/points.csv", digest_of(CONTENT))


def test_a_server_that_is_away_is_tried_again(get):
    with pytest.raises(TryAgain, match="refused"):
        get("http://127.0.0.1:9/points.csv", digest_of(CONTENT))


def test_more_than_the_size_limit_is_refused(get, site: Site, url: str, cache: Path):
    site.content = CONTENT
    with pytest.raises(Rejected, match="raise max_size"):
        get(f"{url}/points.csv", digest_of(CONTENT), max_size="1k")
    assert entries(cache) == []


@pytest.mark.parametrize(
    ("variable", "value", "family", "remedy"),
    [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", TryAgain, "does not answer .*; check AWS_ENDPOINT_URL"),
        ("AWS_ENDPOINT_URL", "nonsense", Misconfigured, "Invalid endpoint: nonsense; correct the url or the AWS_ "),
        ("AWS_SECRET_ACCESS_KEY", None, Misconfigured, "no credentials were given; set AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_bucket_that_cannot_be_read_is_told_by_its_remedy(
    get, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, family: type[SlipwayError], remedy: str
):
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # a client keeps the environment that it was made in
    right = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    quick = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    for name, text in (right | quick).items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv(variable) if value is None else monkeypatch.setenv(variable, value)
    with pytest.raises(family, match=rf"data\.points: s3://shelf/points\.csv: .*{remedy}"):
        get("s3://shelf/points.csv", digest_of(CONTENT))


def test_a_folder_is_taken_as_a_whole_and_its_digest_is_of_the_list_of_files(get, tmp_path: Path):
    folder = tmp_path / "pictures"
    (folder / "train" / "cat").mkdir(parents=True)
    (folder / "train" / "cat" / "1.jpg").write_bytes(b"one")
    line = f"train/cat/1.jpg\0{3}\0{digest_of(b'one')}\n".encode()
    found = get(str(folder), digest_of(line))
    assert (found.path / "train" / "cat" / "1.jpg").read_bytes() == b"one"


def test_a_folder_beside_the_model_needs_no_digest(get, tmp_path: Path):
    (tmp_path / "model" / "corpus").mkdir(parents=True)
    (tmp_path / "model" / "corpus" / "train.txt").write_text("x O\n")
    (tmp_path / "model" / "corpus" / "test.txt").write_text("x O\n")
    assert sorted(path.name for path in get("corpus").path.iterdir()) == ["test.txt", "train.txt"]


def test_a_changed_file_beside_the_model_is_read_again(get, tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "points.csv").write_bytes(b"1")
    get("points.csv")
    (tmp_path / "model" / "points.csv").write_bytes(b"2")
    assert get("points.csv").path.read_bytes() == b"2"


@pytest.mark.parametrize("path", ["../secret.csv", "a/../../secret.csv"])
def test_a_path_out_of_the_models_folder_is_refused(get, tmp_path: Path, path: str):
    (tmp_path / "secret.csv").write_text("x")
    with pytest.raises(Rejected, match="leads out of the model's folder"):
        get(path)


def test_a_link_out_of_the_models_folder_is_refused(get, tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "secret.csv").write_text("x")
    (tmp_path / "model" / "points.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(Rejected, match="leads out of the model's folder"):
        get("points.csv")


def test_a_link_in_a_folder_is_refused(get, tmp_path: Path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.jpg").symlink_to("/etc/passwd")
    with pytest.raises(Rejected, match="is a link; put the file itself there"):
        get(str(tmp_path / "pictures"), digest_of(b""))


def test_a_pipe_in_a_folder_is_refused_not_waited_for(get, tmp_path: Path):
    (tmp_path / "pictures").mkdir()
    os.mkfifo(tmp_path / "pictures" / "1.jpg")
    with pytest.raises(Rejected, match="neither file nor folder"):
        get(str(tmp_path / "pictures"), digest_of(b""))


def test_nothing_at_the_url_is_refused(get, tmp_path: Path):
    with pytest.raises(Rejected, match="there is nothing at"):
        get(str(tmp_path / "none.csv"), digest_of(b""))


def test_a_scheme_that_nobody_knows_is_misconfigured(get):
    with pytest.raises(Misconfigured, match="gopher"):
        get("gopher://example.org/points.csv", digest_of(b""))


def test_any_file_system_of_fsspec_will_do(get):
    import fsspec

    with fsspec.open("memory://shelf/points.csv", "wb") as file:
        file.write(CONTENT)
    assert get("memory://shelf/points.csv", digest_of(CONTENT)).path.read_bytes() == CONTENT
