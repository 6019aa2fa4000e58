"""How is YAML that people wrote read, so that whatever is wrong with it is yaml.YAMLError?"""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["load_yaml"]


def load_yaml(content: bytes) -> Any:
    """The value of one document of plain YAML; raises yaml.YAMLError, with the place where that is known."""
    try:
        return yaml.load(content, Loader=_Loader)
    except RecursionError:
        raise yaml.MarkedYAMLError(problem="nested too deep to be read") from None


class _Loader(yaml.SafeLoader):
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        # Of a month 13, or a word tagged as a number, PyYAML lets Python's own error leave.
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, ArithmeticError):
            kind = node.tag.rpartition(":")[2]
            raise yaml.MarkedYAMLError(
                problem=f"{str(node.value)[:60]!r} is no {kind}", problem_mark=node.start_mark
            ) from None
