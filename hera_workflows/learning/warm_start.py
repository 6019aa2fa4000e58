"""Which weights does training begin with when model.yaml says `train: {from: champion}`?

The `start` step copies the champion's weights into the run's folder, and training takes them from there: the pod that
runs people's code never sees the model store or its credentials.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from slipway.errors import Misconfigured, Rejected
from triton_repo.runtime.text_pipeline import TEXT_JSON, TextPipeline

__all__ = ["START_JSON", "WEIGHTS", "Start", "WarmStart", "read_start"]

START_JSON = "start.json"
WEIGHTS = "weights.safetensors"


class Start(BaseModel):
    """What the `start` step found; written last, beside the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    version: str | None  # "digits@3"; None: the first environment serves no version yet
    digest: str | None = None


class WarmStart:
    """The champion's weights on disk, and how many of them training took."""

    def __init__(self, start: Start, folder: Path) -> None:
        self.start, self._weights, self._text = start, folder / WEIGHTS, folder / TEXT_JSON
        self.taken = self.of = 0

    def put_into(self, module: Any, *, copy: bool = True) -> None:
        """Copy every tensor whose name and shape agree; `copy` false only counts, for a training that is resumed.

        Of a tagger with another vocabulary, what it learned of single tokens stays behind: its rows are other words.
        Raises Rejected when not one agrees.
        """
        import torch
        from safetensors import SafetensorError, safe_open

        own = self._comparable(module)
        try:
            with safe_open(str(self._weights), framework="pt") as stored:
                names = [n for n in stored.keys() if n in own and list(own[n].shape) == stored.get_slice(n).get_shape()]  # noqa: SIM118
                if copy:
                    with torch.no_grad():
                        for name in names:
                            own[name].copy_(stored.get_tensor(name))
        except (SafetensorError, OSError) as error:
            raise Rejected(f"the weights of {self.start.version} cannot be read ({error}); start a new run") from None
        if not names:
            raise Rejected(
                f"train.from is champion, but no layer agrees with {self.start.version} in name and shape; "
                "write `from: scratch`, or keep the layers' names"
            )
        count = len(module.state_dict())
        self.taken, self.of = self.taken + len(names), self.of + count
        if copy:
            print(f"training starts from {self.start.version}: {len(names)} of {count} tensors", flush=True)

    def _comparable(self, module: Any) -> dict[str, Any]:
        """The module's tensors, without those that have a row for each token of another vocabulary."""
        own: dict[str, Any] = module.state_dict()
        vocabulary = getattr(module, "vocabulary", None)
        if vocabulary is None or not self._text.is_file():
            return own
        try:
            theirs = TextPipeline.read(self._text).vocabulary
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Rejected(f"{TEXT_JSON} of {self.start.version} cannot be read ({error}); start a new run") from None
        if theirs == tuple(vocabulary):
            return own
        return {name: tensor for name, tensor in own.items() if len(vocabulary) not in tensor.shape}

    def record(self) -> dict[str, Any]:
        """What the manifest says of it; raises Rejected when training took nothing."""
        if not self.taken:
            raise Rejected(
                f"train.from is champion, but train(ctx) took nothing of {self.start.version}; "
                "pass the module to ctx.epochs(model=…)"
            )
        return {"version": self.start.version, "digest": self.start.digest, "taken": self.taken, "of": self.of}


def read_start(folder: Path) -> WarmStart | None:
    """What the `start` step left in `folder`; None when there was no champion.

    Raises Misconfigured when the step did not run.
    """
    path = folder / START_JSON
    try:
        start = Start.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise Misconfigured(
            f"train.from is champion, but {path} is absent; run the `start` step before `train`"
        ) from None
    except (ValidationError, OSError) as error:
        raise Rejected(f"{path} cannot be read ({str(error).splitlines()[0]}); start a new run") from None
    if start.version is None:
        print("training starts from scratch: no version is served yet", flush=True)
        return None
    return WarmStart(start, folder)
