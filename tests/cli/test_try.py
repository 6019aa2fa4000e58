"""`slipway try` sends a person's own input to a real Triton and prints the answer in their words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from asked_toys import publish_toy, toys

from hera_workflows.platform.reconcile import reconcile
from hera_workflows.platform.up import down, up
from hera_workflows.settings import Platform

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose staging serves the toys."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "models").mkdir()
    try:
        running, _ = up(folder)
        for toy in toys():
            publish_toy(running, toy, folder / "scratch")
        reconcile(running)
        yield running
    finally:
        down(folder / ".slipway")


class Told:
    """What one call printed, and its exit code."""

    def __init__(self, platform: Platform, *arguments: str | Path, given: bytes = b"") -> None:
        command = [sys.executable, "-m", "hera_workflows", "--home", str(platform.home), "try", *map(str, arguments)]
        ended = subprocess.run(command, input=given, capture_output=True, timeout=60)
        self.code, self.out, self.err = ended.returncode, ended.stdout.decode(), ended.stderr.decode()


def picture(path: Path, ground: int, stroke: int, mode: str = "L", size: tuple[int, int] = (32, 32)) -> Path:
    """A square of a quarter of the picture, on its ground."""
    image = Image.new("L", size, ground)
    image.paste(stroke, (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4))
    image.convert(mode).save(path)
    return path


def test_a_sentence_comes_back_with_its_entities_marked(platform: Platform) -> None:
    told = Told(platform, "names", "in oslo: ada keller!")
    assert told.out.splitlines() == [
        "in [oslo LOC]: [ada keller PER]!",
        "oslo: LOC (100.0%)",
        "ada keller: PER (100.0%)",
    ]
    assert told.err == "names@1 in staging, over grpc\n"


def test_http_says_the_same_as_grpc(platform: Platform) -> None:
    assert Told(platform, "names", "ada", "--protocol", "http").out == Told(platform, "names", "ada").out


def test_json_is_for_scripts(platform: Platform) -> None:
    told = Told(platform, "names", "ada", "--json")
    entity = {"start": 0, "end": 3, "label": "PER", "text": "ada", "score": 1.0}
    assert json.loads(told.out) == {
        "version": "names@1",
        "environment": "staging",
        "answers": [{"entities": [entity]}],
    }


def test_a_dark_stroke_on_light_paper_is_turned_for_a_model_of_light_on_dark(
    platform: Platform, tmp_path: Path
) -> None:
    told = Told(platform, "digits", picture(tmp_path / "a.png", 255, 0))
    assert told.out == "dark (75.0%); then light (25.0%)\n"
    assert "32 × 32 pixels made 8 × 8; made its negative" in told.err


def test_a_light_stroke_on_dark_ground_is_left_as_it_is(platform: Platform, tmp_path: Path) -> None:
    told = Told(platform, "digits", picture(tmp_path / "a.jpg", 0, 255))
    assert told.out.startswith("dark (7")
    assert "negative" not in told.err


def test_bytes_go_as_they_are_to_a_model_that_takes_bytes(platform: Platform, tmp_path: Path) -> None:
    told = Told(platform, "colours", picture(tmp_path / "a.png", 204, 204, "RGBA"), "--json")
    (answer,) = json.loads(told.out)["answers"]
    assert answer["label"] == "light"
    assert answer["probabilities"]["light"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("model", "given", "answers"),
    [
        ("line", "3.5", ["prediction: 7"]),
        ("line", "[3.5]", ["prediction: 7"]),
        ("line", '{"x": -2}', ["prediction: -4"]),
        ("line", "x\n1\n2", ["prediction: 2", "prediction: 4"]),
        ("area", "2,3", ["prediction: 6"]),
        ("area", "height,name,width\n5,,2", None),
        ("area", '{"width": 2, "height": 4}', ["prediction: 8"]),
    ],
)
def test_a_row_comes_back_as_a_number_with_its_name(
    platform: Platform, model: str, given: str, answers: list[str] | None
) -> None:
    assert Told(platform, model, given).out.splitlines() == (answers or ["prediction: 10"])


def test_an_array_is_sent_as_it_is(platform: Platform, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[1.0], [2.0], [3.0]]))
    assert Told(platform, "line", tmp_path / "x.npy").out.splitlines() == [f"prediction: {n}" for n in (2, 4, 6)]


def test_standard_input_is_an_input(platform: Platform) -> None:
    assert Told(platform, "line", "-", given=b"x\n21\n").out == "prediction: 42\n"


def test_what_windows_wrote_is_an_input_by_standard_input_too(platform: Platform) -> None:
    assert Told(platform, "names", "-", given=b"\xef\xbb\xbfada\r\n").out == Told(platform, "names", "ada\n").out


def test_a_picture_on_standard_input_is_refused(platform: Platform, tmp_path: Path) -> None:
    told = Told(platform, "digits", "-", given=picture(tmp_path / "a.png", 255, 0).read_bytes())
    assert (told.code, told.out) == (65, "")
    assert told.err == "slipway: standard input is no text; give a picture as a file: `slipway try MODEL seven.png`\n"


def test_without_an_input_a_golden_request_is_sent(platform: Platform) -> None:
    told = Told(platform, "names")
    assert told.out.splitlines()[0] == "in [oslo LOC]"
    assert "golden request 1 of 1" in told.err


def test_an_empty_text_has_no_entities(platform: Platform) -> None:
    assert Told(platform, "names", "").out.splitlines() == ["", "no entities"]


REFUSED = [
    (["nothing", "1"], 65, "nothing is not released in any environment"),
    (["names", "ada", "--environment", "production"], 65, "names is not released in production"),
    (["names", "ada", "--environment", "moon"], 65, "there is no environment 'moon' here; give one of"),
    (["line", "1,2"], 65, "row 1 has 2 numbers and 1 are needed"),
    (["line", "one"], 65, "'one' is not a finite number"),
    (["line", "nan"], 65, "'nan' is not a finite number"),
    (["line", "[1, [2]]"], 65, "not an array of numbers of one shape"),
    (["line", "[1, 2"], 65, "begins like JSON and is none"),
    (["line", "\n".join("12345")], 65, "5 samples; send 1 to 4 at a time"),
    (["area", '{"width": 1}'], 65, "the JSON names width; give width, height"),
    (["line", "away.npy"], 65, "away.npy is not there"),
    (["names", "x" * 5000], 65, "text 1 has 5000 characters; send at most 200"),
    (["../names", "x"], 65, "../names"),
]


def test_a_file_that_only_begins_like_an_archive_is_refused(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"PK\x03\x04" + bytes(50))
    told = Told(platform, "line", tmp_path / "x.npy")
    assert (told.code, len(told.err.splitlines())) == (65, 1)


@pytest.mark.parametrize(("arguments", "code", "message"), REFUSED)
def test_what_does_not_fit_gets_one_line_that_says_what_does(
    platform: Platform, arguments: list[str], code: int, message: str
) -> None:
    told = Told(platform, *arguments)
    assert (told.code, told.out) == (code, "")
    assert message in told.err
    assert len(told.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "model", "message"),
    [
        (b"no picture", "digits", "is not a whole PNG or JPEG"),
        (b"no picture", "line", "this model wants numbers as a row"),
    ],
)
def test_a_file_that_is_no_picture_is_refused(
    platform: Platform, tmp_path: Path, content: bytes, model: str, message: str
) -> None:
    (tmp_path / "a.png").write_bytes(content)
    told = Told(platform, model, tmp_path / "a.png")
    assert (told.code, len(told.err.splitlines())) == (65, 1)
    assert message in told.err


def test_a_truncated_picture_is_refused(platform: Platform, tmp_path: Path) -> None:
    whole = picture(tmp_path / "whole.jpg", 0, 255, size=(300, 300)).read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    told = Told(platform, "digits", tmp_path / "half.jpg")
    assert told.code == 65
    assert "is not a whole PNG or JPEG" in told.err


def test_an_array_of_another_shape_is_refused(platform: Platform, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((28, 28)))
    told = Told(platform, "digits", tmp_path / "x.npy")
    assert told.code == 65
    assert "the array has shape (28, 28); this model wants image: 1 × 8 × 8 FP32" in told.err


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_server_that_is_down_is_worth_another_try(tmp_path: Path, platform: Platform, protocol: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    content = json.loads((platform.home / "platform.json").read_text())
    content["servers"] = [{**server, "http_port": 9, "grpc_port": 9} for server in content["servers"]]
    (home / "platform.json").write_text(json.dumps(content))
    command = [sys.executable, "-m", "hera_workflows", "--home", str(home), "try", "line", "1", "--protocol", protocol]
    ended = subprocess.run(command, capture_output=True, timeout=60, text=True)
    assert ended.returncode == 75
    assert "line@1 at 127.0.0.1:9 does not answer" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
