"""How does Triton's python backend run model.onnx? It is copied beside it and imported by Triton, never by slipway."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance of one version."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load model.onnx; an exception here makes the load fail and leaves the version before it serving."""
        config = json.loads(args["model_config"])
        instances = sum(int(group.get("count", 1)) for group in config["instance_group"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, len(os.sched_getaffinity(0)) // instances)
        options.inter_op_num_threads = 1
        # Threads wait for each other's parts of a run by spinning, since sleeping and waking costs as much as a small
        # network's layer; one that spins on between requests would take the CPU from every other model of this server.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        folder = Path(args["model_repository"], args["model_version"])
        self.session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.outputs = [tensor["name"] for tensor in config["output"]]
        # Triton counts an answered error as a success; whoever judges this version has to see it somewhere.
        family = pb_utils.MetricFamily(
            name="slipway_request_error",
            description="Requests that Triton counts as successful although an error was the answer",
            kind=pb_utils.MetricFamily.COUNTER,
        )
        labels = {"model": args["model_name"], "version": args["model_version"], "reason": "ERROR_RESPONSE"}
        self.errors = family.Metric(labels=labels)
        self.family = family
        self.text: Any = None
        self.theirs: tuple[type[Exception], ...] = ()  # errors for which whoever sent the request is to blame
        if (folder / "text.json").exists():
            sys.path.insert(0, str(folder))
            pipeline = importlib.import_module("text_pipeline")
            self.text = pipeline.TextPipeline.read(folder / "text.json")
            self.theirs = (pipeline.TextError,)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer the requests of one dynamic batch with one run."""
        feeds = [
            {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            for request in requests
        ]
        try:
            answers = self._run_together(feeds)
        except Exception:  # noqa: BLE001
            # One request spoils the run for all of them; alone, only that one gets the error.
            return [self._answer_alone(request, feed) for request, feed in zip(requests, feeds, strict=True)]
        return [self._response(request, answer) for request, answer in zip(requests, answers, strict=True)]

    def _run_together(self, feeds: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(feeds) == 1:
            return [self._run(feeds[0])]
        sizes = [len(feed[self.inputs[0]]) for feed in feeds]
        whole = self._run({name: np.concatenate([feed[name] for feed in feeds]) for name in self.inputs})
        ends = np.cumsum(sizes)[:-1]
        parts = {name: np.split(array, ends) for name, array in whole.items()}
        return [{name: parts[name][index] for name in parts} for index in range(len(feeds))]

    def _run(self, feed: dict[str, Any]) -> dict[str, Any]:
        if self.text is not None:
            return self._run_text(feed[self.inputs[0]])
        return dict(zip(self.outputs, self.session.run(self.outputs, feed), strict=True))

    def _run_text(self, rows: Any) -> dict[str, Any]:
        texts = self.text.texts(rows)
        (probabilities,) = self.session.run(None, {self.inputs[0]: self.text.encode(texts)})
        answers = [entities.encode() for entities in self.text.decode(texts, probabilities)]
        return {self.outputs[0]: np.array(answers, dtype=object).reshape(-1, 1)}

    def _answer_alone(self, request: Any, feed: dict[str, Any]) -> Any:
        try:
            return self._response(request, self._run(feed))
        except Exception as error:  # noqa: BLE001
            # Text that cannot be read is its sender's mistake: it must not speak against the version.
            theirs = isinstance(error, self.theirs)
            if not theirs:
                self.errors.increment(1)
            what = str(error) if theirs else f"model.onnx: {error}"
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(what))

    def _response(self, request: Any, answer: dict[str, Any]) -> Any:
        wanted = request.requested_output_names()
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, answer[name]) for name in answer if name in wanted])
