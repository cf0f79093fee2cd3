"""The masked model as the reference that the smaller one must equal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..core.errors import ModelError
from .analysis import Analysis, Gone
from .cut import masked, tensors
from .interpret import interpret
from .provenance import shapes_of_calls, tensors_of_call
from .record import twice
from .trace import ExampleInputs, batch_size
from .verify import Answer, Failure, Run, answer, changed, difference

__all__ = ["TOLERANCE", "Reference"]

TOLERANCE = 1e-10
_SENSITIVE = 1e-6


class Reference:
    """Runs the masked model, and the smaller one against it.

    Args:
        model: the model, whole at first, cut when ``compare`` is called.
        example_inputs: what it takes.
        analysis: of the whole model.
        as_it_is: the model's own zeros are the masks.
        narrow: norms of the masked model average over what is left, as those of the smaller one do.
    """

    def __init__(
        self, model: nn.Module, example_inputs: ExampleInputs, analysis: Analysis, *, as_it_is: bool, narrow: bool
    ) -> None:
        self.model, self.analysis, self.as_it_is, self.narrow = model, analysis, as_it_is, narrow
        given = example_inputs
        if analysis.batch > 1 and batch_size(given) == 1:
            given = twice(given, lambda x: changed((x,))[0])
        self.inputs, self.more = given, self._more(given)
        self.meta = any(t.is_meta for t in tensors(model).values())
        self.sensitivity = math.nan
        self._answers: list[tuple[Any, Answer]] = []
        self._narrowed: list[list[Tensor]] = []

    def _more(self, given: ExampleInputs) -> Any:
        try:
            return twice(given, lambda x: changed((x,))[0])
        except ModelError:
            return None

    def prepare(self, gone: Gone) -> None:
        """Run the masked model, before it is cut.

        Raises:
            ModelError: its output does not depend on its input, so that equality would prove nothing.
        """
        if self.meta or (self.as_it_is and self._answers and not self.narrow):
            return
        state = {} if self.as_it_is else masked(self.model, self.analysis, gone)
        with _state(self.model, state):
            other = answer(self.model, changed(self.inputs))  # first, so that what forward computes once is there
            self._answers = [(self.inputs, answer(self.model, self.inputs))]
            if self.more is not None:
                try:
                    self._answers.append((self.more, answer(self.model, self.more)))
                except Exception:  # a model may take one batch size only
                    self.more = None
        self.sensitivity = difference(other.tensors, self._answers[0][1].tensors)
        if not self.sensitivity > _SENSITIVE:
            raise ModelError(
                f"the output changes by {self.sensitivity:.0e} when the inputs do, so that equal outputs would prove nothing; "
                "give example_inputs to which the model responds (a pruned model may have collapsed: recalibrate its batch norms)"
            )
        if self.narrow:
            windows = [self.inputs] + ([_window(self.more, self.analysis.batch)] if self.more is not None else [])
            self._narrowed = [interpret(self.analysis, self.model, w, state, narrow=gone) for w in windows]

    def compare(self, gone: Gone, other: nn.Module | None = None) -> float:
        """Run the smaller model, which the model has become or is another, and give the largest relative difference.

        Raises:
            Failure: it is another model.
        """
        if self.meta:
            return self._sizes_only(gone)
        shapes = shapes_of_calls(self.analysis, gone) if other is None else {}
        error = 0.0
        for k, (inputs, dense) in enumerate(self._answers):
            if other is None:
                expect = shapes.get if k == 0 and self._aligned() else None
                small = answer(self.model, inputs, Run(dense.steps, expect))
            else:
                small = _answer_of_graph(other, inputs)
            pairs = self._pairs(k, small.tensors, dense.tensors)
            error = max(error, *(difference(a, b) for a, b in pairs))
        if not error < TOLERANCE:
            raise Failure(f"the smaller model would differ from the masked one by {error:.0e}")
        return error

    def _pairs(self, k: int, small: Sequence[Tensor], dense: Sequence[Tensor]) -> Iterator[tuple[Any, Any]]:
        if not self.narrow:
            yield small, dense
            return
        batch = self.analysis.batch
        if k == 0:
            yield small, self._narrowed[0]
        else:  # the graph runs at its own batch size: all examples but the last are compared, then all but the first
            yield _rows(small, self._narrowed[0], slice(None, batch)), self._narrowed[0]
            yield _rows(small, self._narrowed[1], slice(-batch, None)), self._narrowed[1]

    def _sizes_only(self, gone: Gone) -> float:
        """Without values: whether forward runs, and gives the shapes it must."""
        try:
            answer(self.model, self.inputs, Run())
        except Exception as e:
            raise Failure(f"forward does not run: {str(e).splitlines()[0][:160] if str(e) else type(e).__name__}") from e
        return math.nan

    def _aligned(self) -> bool:
        """Whether forward makes the calls that it made when it was traced."""
        calls = self.analysis.recording.calls
        return [c.name for c in calls] == [s.name for s in self._answers[0][1].steps]

    def labels(self, call: int | None) -> list[np.ndarray]:
        """The labels of what a call takes and gives; none when the call is not known."""
        if call is None or self.meta or not self._aligned():
            return []
        return tensors_of_call(self.analysis, call)


def _answer_of_graph(graph: nn.Module, inputs: ExampleInputs) -> Answer:
    try:
        return answer(graph, inputs)
    except Exception as e:
        raise Failure(f"the smaller graph does not run: {str(e).splitlines()[0][:160] if str(e) else type(e).__name__}") from e


@contextmanager
def _state(model: nn.Module, state: dict[str, Tensor]) -> Iterator[None]:
    """A model with other values for some tensors, for a while."""
    before = [(t, t.data) for n, t in tensors(model).items() if n in state]
    try:
        for name, tensor in tensors(model).items():
            if name in state:
                tensor.data = state[name]
        yield
    finally:
        for tensor, data in before:
            tensor.data = data


def _window(inputs: Any, batch: int) -> Any:
    """The last examples."""
    whole = batch_size(inputs)
    return pytree.tree_map(lambda x: x[-batch:] if isinstance(x, Tensor) and x.dim() and x.shape[0] == whole else x, inputs)


def _rows(small: Sequence[Tensor], like: Sequence[Tensor], rows: slice) -> list[Tensor]:
    """The examples to compare: along the dimensions that are longer, of which similarities of a batch have two."""
    picked = []
    for a, b in zip(small, like, strict=True):
        longer = [d for d in range(a.dim()) if a.shape[d] > b.shape[d]] if a.dim() == b.dim() else []
        index = [slice(None)] * a.dim()
        for d in longer:
            index[d] = rows
        picked.append(a[tuple(index)])
    return picked
