"""The masked model as the reference that the smaller one must equal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..core.errors import ModelError
from .analysis import Analysis, Gone
from .cut import masked, tensors
from .interpret import interpret
from .record import numbers
from .sizes import plain
from .trace import ExampleInputs, batch_size, trace
from .verify import Answer, Failure, Run, Step, answer, as_traced, changed, difference, first_line, one_more

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
        self.meta = any(t.is_meta for t in tensors(model).values())
        self.sensitivity = math.nan
        self._inputs = _two_sizes(example_inputs, analysis.batch)
        self._answers: list[Answer] = []  # of the masked model, for each of the inputs
        self._narrowed: list[list[Tensor]] = []  # the same from the graph, where norms are over fewer units

    def prepare(self, gone: Gone) -> None:
        """Run the masked model, before it is cut.

        Raises:
            ModelError: its output does not depend on its input, so that equality would prove nothing.
        """
        narrow = self.narrow and self._averages(gone)
        if self.meta or (self.as_it_is and self._answers and not narrow and not self._narrowed):
            return
        state = {} if self.as_it_is else masked(self.model, self.analysis, gone)
        with _state(self.model, state):
            try:
                other = answer(self.model, changed(self._inputs[0]))  # first, so that what forward computes once is there
                self._answers = [answer(self.model, self._inputs[0])]
            except Exception as e:
                name = type(self.model).__name__
                raise ModelError(f"{name} does not run in double precision, in which it is checked: {first_line(e)}") from e
            try:
                self._answers += [answer(self.model, more) for more in self._inputs[1:]]
            except Exception:  # a model may take one batch size only
                del self._inputs[1:]
        self.sensitivity = difference(other.tensors, self._answers[0].tensors)
        if not self.sensitivity > _SENSITIVE:
            raise ModelError(
                f"the output changes by {self.sensitivity:.0e} when the inputs do, so that equal outputs would prove nothing; "
                "give example_inputs to which the model responds (a pruned model may have collapsed: recalibrate its batch norms)"
            )
        self._narrowed = []
        if narrow:
            windows = [_last(x, self.analysis.batch) for x in self._inputs]
            self._narrowed = [interpret(self.analysis, self.model, w, state, narrow=gone) for w in windows]

    def _averages(self, gone: Gone) -> bool:
        """Whether a norm takes its mean or variance over what is gone."""
        return any(not self.analysis.reader.stays(join.cells, gone).all() for join in self.analysis.labels.statistics)

    def compare(self, gone: Gone, other: nn.Module | None = None) -> float:
        """Run the smaller model, which the model has become or is another, and give the largest relative difference.

        Raises:
            Failure: it is another model.
        """
        if self.meta:
            self._trace(gone, other)
            return math.nan
        error = 0.0
        for k, (inputs, dense) in enumerate(zip(self._inputs, self._answers, strict=True)):
            if other is None:
                expect = self.analysis.reader.shapes(gone).get if k == 0 and self.aligned else None
                small = answer(self.model, inputs, Run(dense.steps, expect))
            else:
                small = _answer_of_graph(other, inputs)
            error = max(error, *(difference(a, b) for a, b in self._pairs(k, small.tensors, dense.tensors)))
        if not error < TOLERANCE:
            raise Failure(f"the smaller model would differ from the masked one by {error:.0e}")
        return error

    def _pairs(self, k: int, small: Sequence[Tensor], dense: Sequence[Tensor]) -> Iterator[tuple[Any, Any]]:
        if not self._narrowed:
            yield small, dense
            return
        batch = self.analysis.batch
        if k == 0:
            yield small, self._narrowed[0]
        else:  # the graph runs at its own batch size: all examples but the last are compared, then all but the first
            yield _rows(small, self._narrowed[0], slice(None, batch)), self._narrowed[0]
            yield _rows(small, self._narrowed[1], slice(-batch, None)), self._narrowed[1]

    def _trace(self, gone: Gone, other: nn.Module | None) -> None:
        """Without values: whether forward makes the same calls and gives the shapes it must, traced as the whole model was."""
        if other is not None:
            return
        calls = self.analysis.recording.calls
        steps = [Step(c.name, tuple(plain(x) for x in numbers(c.name, c.args, c.kwargs)), c.outputs) for c in calls]
        run = Run(steps, self.analysis.reader.shapes(gone).get, precise=False) if calls else None
        try:
            trace(self.model, self._inputs[0], dynamic_batch=False, observer=run)
        except ModelError as e:
            cause = e.__cause__
            raise cause if isinstance(cause, Failure) else Failure(f"forward does not run: {first_line(e)}") from e

    @property
    def aligned(self) -> bool:
        """Whether forward makes the calls that it made when it was traced."""
        calls = [c.name for c in self.analysis.recording.calls]
        return bool(calls) and (self.meta or calls == [s.name for s in self._answers[0].steps])


def _two_sizes(example_inputs: ExampleInputs, batch: int) -> list[Any]:
    """The inputs at the traced batch size, and with one example more where that can be made."""
    try:
        given = as_traced(example_inputs, batch)
        return [given, one_more(given)]
    except (ModelError, RuntimeError):
        return [example_inputs]


def _answer_of_graph(graph: nn.Module, inputs: ExampleInputs) -> Answer:
    try:
        return answer(graph, inputs)
    except Exception as e:
        raise Failure(f"the smaller graph does not run: {first_line(e)}") from e


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


def _last(inputs: Any, batch: int) -> Any:
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
