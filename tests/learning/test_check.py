"""`slipway check` and `slipway init`: what each mistake in model.py is answered with, and that nothing of it stays."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hera_workflows.learning.tasks import task_names

YAML = "name: bad\ntask: multiclass-classification\n"
GOOD = """\
import numpy as np
def data(split):
    return np.zeros((9, 4), "float32"), np.arange(9) % 3
def train(ctx):
    return None
"""


def slipway(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hera_workflows", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def check(folder: Path, py: str, *flags: str, yaml: str = YAML) -> tuple[int, list[str]]:
    """The exit code and the problems of models/bad with this model.py."""
    model = folder / "models" / "bad"
    model.mkdir(parents=True)
    (model / "model.yaml").write_text(yaml)
    (model / "model.py").write_text(py)
    done = slipway("check", "--json", *flags, cwd=folder)
    return done.returncode, json.loads(done.stdout)[0]["problems"]


def data_returning(what: str) -> str:
    return f"import numpy as np\ndef data(split):\n    return {what}\ndef train(ctx): ...\n"


def test_a_good_model_is_good(tmp_path: Path):
    assert check(tmp_path, GOOD) == (0, [])


@pytest.mark.parametrize(
    ("py", "problem"),
    [
        ("import numpy\n\n1 / 0\n", "models/bad/model.py:3: the import raised ZeroDivisionError: division by zero; correct it there"),  # noqa: E501
        ("def data(split:\n", "models/bad/model.py:1:9: '(' was never closed; correct the syntax"),
        ("import sys\nsys.exit(0)\n", "models/bad/model.py:2: the import ended the process (exit 0); return instead"),
        ("import os\nos._exit(0)\n", "models/bad/model.py: it ended the process itself with exit 0 (it printed nothing); return from data() and train()"),  # noqa: E501
        ("import os\nos.abort()\n", "models/bad/model.py: the process crashed with SIGABRT (it printed nothing); look for native code that misbehaves"),  # noqa: E501
        ("import os\nos.kill(os.getpid(), 40)\n", "models/bad/model.py: the process crashed with signal 40 (it printed nothing); look for native code that misbehaves"),  # noqa: E501
        ("def data(split): ...\n", "models/bad/model.py:1: train(ctx) is missing; write `def train(ctx): …`"),
        ("def data(): ...\ndef train(ctx): ...\n", "models/bad/model.py:1: data does not take one argument; write `def data(split): …`"),  # noqa: E501
        ("def data(split):\n    raise KeyError(split)\ndef train(ctx): ...\n", "models/bad/model.py:2: data(\"test\") raised KeyError: 'test'; correct it there"),  # noqa: E501
        ("def data(split):\n    raise OSError('caf\\udce9.png')\ndef train(ctx): ...\n", "models/bad/model.py:2: data(\"test\") raised OSError: caf\\udce9.png; correct it there"),  # noqa: E501
        (data_returning("np.zeros((3, 2))"), 'models/bad/model.py: data("test") returned ndarray; return (inputs, labels) or (inputs, labels, slices)'),  # noqa: E501
        (data_returning("(np.zeros((0, 2)), np.zeros(0, int))"), 'models/bad/model.py: data("test") is empty; give at least one sample'),  # noqa: E501
        (data_returning("(np.zeros((3, 2)), np.zeros(4, int))"), 'models/bad/model.py: data("test"): input input has 3 samples and labels have 4; make them agree'),  # noqa: E501
        (data_returning("(np.array([[1, 2], [3, np.nan]]), np.zeros(2, int))"), 'models/bad/model.py: data("test"): input input has NaN or infinity in sample 1; drop or fill such values'),  # noqa: E501
        (data_returning("(np.zeros((2, 2)), np.array([0.5, 1]))"), "models/bad/model.py: data(\"test\"): labels are float64; give class numbers as integers, for example labels.astype('int64')"),  # noqa: E501
        (data_returning("(np.zeros(2), np.zeros(2, int))"), 'models/bad/model.py: data("test"): input input has shape (2,); give (samples, features)'),  # noqa: E501
        (data_returning('(np.array([["a"], ["b"]]), np.zeros(2, int))'), 'models/bad/model.py: data("test"): input input is text, which needs a label for each token (token-classification); give numbers to other tasks'),  # noqa: E501
        (data_returning("({'../x': np.zeros((2, 2))}, np.zeros(2, int))"), "models/bad/model.py: data(\"test\"): input name '../x' is not an identifier; rename it"),  # noqa: E501
        (data_returning("([[1, 2], [3]], np.zeros(2, int))"), "give arrays whose rows have one length"),
        (data_returning("(np.array([{}, {}]), np.zeros(2, int))"), 'models/bad/model.py: data("test"): input input holds Python objects; give an array of numbers (or of text, for slices)'),  # noqa: E501
    ],
)  # fmt: skip
def test_a_mistake_in_model_py_is_named_with_its_line(tmp_path: Path, py: str, problem: str):
    code, found = check(tmp_path, py)
    assert code == 65
    assert any(problem in line for line in found), found


def test_a_class_missing_in_a_split_is_named_for_each_split(tmp_path: Path):
    py = GOOD.replace("np.arange(9) % 3", 'np.arange(9) % (3 if split == "train" else 2)')
    code, found = check(tmp_path, py, yaml=YAML + "classes: [red, green, blue]\n")
    assert code == 65
    assert found == [
        f'models/bad/model.py: data("{split}") has no sample of blue; add some, or correct the split'
        for split in ("validation", "test")
    ]


def test_a_model_that_hangs_is_stopped_with_all_its_children(tmp_path: Path):
    py = "import subprocess, sys\nsubprocess.Popen(['sleep', '987.25'])\nwhile True: pass\n"
    begin = time.monotonic()
    code, found = check(tmp_path, py, "--timeout", "2")
    assert (code, found) == (
        65,
        ["models/bad/model.py: still running after 2s and was stopped; make it quicker, or raise the time limit"],
    )
    assert time.monotonic() - begin < 30
    assert not any(b"987.25" in _command(folder) for folder in Path("/proc").glob("[0-9]*"))


def _command(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


def test_a_model_that_prints_gigabytes_fills_neither_memory_nor_the_terminal(tmp_path: Path):
    py = "import os\nblock = b'x' * (1 << 20)\nfor _ in range(2048): os.write(1, block)\n" + GOOD
    model = tmp_path / "models" / "bad"
    model.mkdir(parents=True)
    (model / "model.yaml").write_text(YAML)
    (model / "model.py").write_text(py)
    code = (
        "from pathlib import Path; from hera_workflows.cli import main\n"
        "try: main(['check'])\n"
        # Not getrusage: its maximum is inherited from the process that started this one.
        "finally: print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) + len(done.stderr) < 10_000
    assert int(done.stdout.split()[-1]) < 150_000  # KiB


def test_problems_of_both_files_are_reported_together_for_every_model(tmp_path: Path):
    check(tmp_path, "1/0")
    other = tmp_path / "models" / "other"
    other.mkdir()
    (other / "model.yaml").write_text("name: other\n")
    done = slipway("check", cwd=tmp_path)
    assert done.returncode == 65
    assert "models/bad/model.py:1: the import raised ZeroDivisionError" in done.stdout
    assert "models/other/model.yaml:1:1: task is missing" in done.stdout
    assert done.stderr.splitlines()[-1] == "slipway: 2 problems in 2 models; nothing was trained"


def test_a_name_that_differs_from_its_folder_is_pointed_at(tmp_path: Path):
    _, found = check(tmp_path, GOOD, yaml=YAML.replace("bad", "good"))
    assert found == ["models/bad/model.yaml:1:1: name is good in the folder bad; make them agree"]


def test_a_slice_that_model_yaml_gates_must_be_in_the_data(tmp_path: Path):
    _, found = check(tmp_path, GOOD, yaml=YAML + 'gates: {slices: {writer: ">= 0.9"}}')
    assert found == [
        "models/bad/model.py: data(\"test\") has no slice column 'writer' (it has none), which model.yaml gates; "
        "return it as third value"
    ]


def test_shared_code_beside_models_can_be_imported(tmp_path: Path):
    (tmp_path / "features.py").write_text("LABELS = 3\n")
    assert check(tmp_path, "from features import LABELS\n" + GOOD) == (0, [])


def test_check_leaves_no_file_behind(tmp_path: Path):
    check(tmp_path, GOOD)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bad", "model.py", "model.yaml", "models"]


def test_check_outside_a_project_says_where_to_go(tmp_path: Path):
    done = slipway("check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        65,
        "slipway: there is no models/*/model.yaml here; go to the project's folder, or run `slipway init NAME`\n",
    )


@pytest.mark.parametrize("name", ["../up", "a/b", "x" * 300, "dıgits", "-rf", ""])
def test_init_refuses_a_name_that_is_not_one(tmp_path: Path, name: str):
    done = slipway("init", "--task", "regression", "--", name, cwd=tmp_path)
    assert done.returncode == 65
    assert "is not a model name" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_init_never_overwrites(tmp_path: Path):
    slipway("init", "mine", "--task", "regression", cwd=tmp_path)
    (tmp_path / "models/mine/model.py").write_text("# my work\n")
    done = slipway("init", "mine", "--task", "regression", cwd=tmp_path)
    assert (done.returncode, (tmp_path / "models/mine/model.py").read_text()) == (65, "# my work\n")


def test_init_with_an_unknown_task_lists_the_known_ones(tmp_path: Path):
    done = slipway("init", "mine", "--task", "ranking", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        65,
        f"slipway: task 'ranking' is unknown; write one of {', '.join(task_names())}\n",
    )


@pytest.mark.slow
@pytest.mark.parametrize("task", task_names())
def test_what_init_writes_is_good(tmp_path: Path, task: str):
    slipway("init", "mine", "--task", task, cwd=tmp_path)
    done = slipway("check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "models/mine: good\n")


@pytest.mark.parametrize("command", ["init", "check", "schema"])
def test_the_help_of_a_command_loads_no_heavy_library(tmp_path: Path, command: str):
    code = (
        f"import sys; from hera_workflows.cli import main\ntry: main([{command!r}, '--help'])\n"
        "finally: print(sorted({'torch', 'numpy', 'sklearn', 'yaml', 'git'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_description_that_is_a_link_to_a_device_is_refused_unread(tmp_path):
    model = tmp_path / "models" / "bad"
    model.mkdir(parents=True)
    (model / "model.yaml").symlink_to("/dev/zero")
    done = slipway("check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (
        65,
        "models/bad/model.yaml: not a regular file; write the model's description there\n",
    )
