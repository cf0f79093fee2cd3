"""What a report is made of: points, and the comparison that holds them. Plain JSON both ways."""

from __future__ import annotations

import dataclasses as dc
import math
import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple, get_type_hints

from ...core.component import coerce
from ...core.errors import FormatError, RecipeError, did_you_mean

__all__ = ["Comparison", "Layer", "MaskPicture", "Point", "Published"]

VERSION = 1


class Layer(NamedTuple):
    """How many entries of one parameter tensor are left."""

    name: str
    total: int
    nonzero: int


@dc.dataclass(frozen=True, kw_only=True)
class Point:
    """One run: a network pruned by a method to a compression, with one seed. What was not measured is None.

    Args:
        task: data set or task, e.g. ``"digits"``.
        model: network, e.g. ``"digits_mlp"``.
        method: name of the method; the controls are ``"random"`` and ``"dense"``.
        seed: seed of the run.
        target_compression: the compression asked for; 1 for the dense control.
        control: the method is there to compare against, not to win.
        compression: reached; original parameters / non-zero parameters, over all tensors.
        speedup: theoretical; original multiply-adds / new multiply-adds.
        top1: accuracy after recovery, a fraction in [0, 1].
        top5: the same for the five best guesses; given from 10 classes up.
        dense_top1: accuracy of the dense network of the same seed.
        validation_change: accuracy minus the dense network's on the validation split, which the knee is chosen by.
        top1_before: accuracy right after pruning, before fine-tuning.
        file_bytes: size of the saved file.
        dense_bytes: size of the dense network in float32.
        latency_ms: median latency of one batch, milliseconds.
        dense_latency_ms: the same for the best dense engine at hand.
        seconds: what the run took.
        kind: ``"classification"`` or ``"language"``, which is judged by its perplexity.
        loss: on the test split, nats.
        dense_loss: the same of the dense network of the same seed.
        inference_joules: of one example; ``inference_energy`` says ``"measured: rapl"``, ``"modelled: Horowitz 2014"``…
        inference_energy: who counted the joules of an inference.
        dense_inference_joules: the same for the dense network, counted in the same way.
        training_joules: of the run's own training; ``training_energy`` says who counted.
        training_energy: who counted the joules of the training.
        peak_bytes: the most memory the training took; ``peak_memory`` says of what.
        peak_memory: whose memory it is: the process's, or the accelerator's.
        steps: optimizer steps of the run.
        dense_id: run of the dense network that this one started from.
        layers: per parameter tensor (name, total, nonzero).
        id: name of the run's folder.
        error: why the run failed; None when it did not.

    Example:
        >>> p = Point(task="digits", model="mlp", method="random", seed=0, target_compression=2.0, top1=0.95, dense_top1=0.97)
        >>> round(p.top1_change, 3)
        -0.02
        >>> Point.from_dict(p.to_dict()) == p
        True
    """

    task: str
    model: str
    method: str
    seed: int
    target_compression: float
    control: bool = False
    compression: float | None = None
    speedup: float | None = None
    top1: float | None = None
    top5: float | None = None
    dense_top1: float | None = None
    validation_change: float | None = None
    top1_before: float | None = None
    file_bytes: int | None = None
    dense_bytes: int | None = None
    latency_ms: float | None = None
    dense_latency_ms: float | None = None
    seconds: float | None = None
    kind: str | None = None
    loss: float | None = None
    dense_loss: float | None = None
    inference_joules: float | None = None
    inference_energy: str | None = None
    dense_inference_joules: float | None = None
    training_joules: float | None = None
    training_energy: str | None = None
    peak_bytes: int | None = None
    peak_memory: str | None = None
    steps: int | None = None
    dense_id: str | None = None
    layers: tuple[Layer, ...] = ()
    id: str = ""
    error: str | None = None

    def __post_init__(self) -> None:
        # A division by nothing left is infinite, which JSON cannot say; "not measured" can.
        for f in dc.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
                object.__setattr__(self, f.name, float(value) if math.isfinite(value) else None)
        object.__setattr__(self, "layers", tuple(Layer(str(n), int(t), int(z)) for n, t, z in self.layers))
        for name in ("top1", "top5", "dense_top1", "top1_before"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise FormatError(f"point {self.label!r}: {name} must be a fraction in [0, 1]; got {value:g}")
        if self.target_compression is None or self.target_compression <= 0:
            raise FormatError(f"point {self.label!r}: target_compression must be > 0; got {self.target_compression}")

    @property
    def label(self) -> str:
        """The point in words, for messages."""
        return self.id or f"{self.task}/{self.model}/{self.method}/seed {self.seed}"

    @property
    def top1_change(self) -> float | None:
        """Accuracy minus the same seed's dense accuracy, in fractions."""
        return None if self.top1 is None or self.dense_top1 is None else self.top1 - self.dense_top1

    @property
    def file_ratio(self) -> float | None:
        """Dense float32 bytes / file bytes."""
        return ratio(self.dense_bytes, self.file_bytes)

    @property
    def measured_speedup(self) -> float | None:
        """Dense latency / new latency."""
        return ratio(self.dense_latency_ms, self.latency_ms)

    @property
    def perplexity(self) -> float | None:
        """The exponential of the loss: how many equally likely answers the network wavers between."""
        return None if self.loss is None or self.loss > 700 else math.exp(self.loss)

    @property
    def energy_ratio(self) -> float | None:
        """Dense joules / joules, both counted in the same way."""
        return ratio(self.dense_inference_joules, self.inference_joules)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; every field is there."""
        return {**{f.name: getattr(self, f.name) for f in dc.fields(self)}, "layers": [list(x) for x in self.layers]}

    @classmethod
    def from_dict(cls, data: object) -> Point:
        """A point from its JSON form.

        Raises:
            FormatError: a field is unknown, missing, of a wrong type or out of range.
        """
        fields = dict(check_fields(cls, data, "a point"))
        layers = fields.pop("layers", [])
        rows = isinstance(layers, list | tuple) and all(
            isinstance(x, list | tuple) and [type(v) for v in x] == [str, int, int] for x in layers
        )
        if not rows:
            raise FormatError(f"a point's 'layers' must be a list of [name, total, nonzero]; got {layers!r:.80}")
        return cls(**typed_fields(cls, fields, "a point"), layers=tuple(map(Layer._make, layers)))


@dc.dataclass(frozen=True, kw_only=True)
class MaskPicture:
    """Where on the input picture the first layer's weights survive.

    Args:
        task: task of the picture.
        model: network whose first layer it is.
        method: method that pruned it.
        values: rows × columns of the share of surviving weights per pixel, each in [0, 1].
        compression: compression of the network pictured.
    """

    task: str
    model: str
    method: str
    values: tuple[tuple[float, ...], ...]
    compression: float | None = None

    def __post_init__(self) -> None:
        rows = tuple(tuple(float(v) for v in row) for row in self.values)
        if not rows or len({len(row) for row in rows}) != 1 or not all(0 <= v <= 1 for row in rows for v in row):
            raise FormatError(f"mask picture of {self.model!r}: values must be a full table of numbers in [0, 1]")
        object.__setattr__(self, "values", rows)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            **{f.name: getattr(self, f.name) for f in dc.fields(self)},
            "values": [list(row) for row in self.values],
        }

    @classmethod
    def from_dict(cls, data: object) -> MaskPicture:
        """A picture from its JSON form.

        Raises:
            FormatError: as for a point.
        """
        return cls(**typed_fields(cls, check_fields(cls, data, "a mask picture"), "a mask picture"))


@dc.dataclass(frozen=True, kw_only=True)
class Published:
    """A result that somebody published, to be laid over the curves.

    Args:
        task: data set or task, as the runs call it.
        model: network, as the runs call it.
        method: what the paper calls the method.
        source: the paper.
        compression: original parameters / non-zero parameters.
        speedup: original multiply-adds / new multiply-adds.
        top1: accuracy, a fraction in [0, 1].
        top5: the same for the five best guesses.
        top1_change: accuracy minus the paper's own dense accuracy.
        perplexity: of a language task.
    """

    task: str
    model: str
    method: str
    source: str = ""
    compression: float | None = None
    speedup: float | None = None
    top1: float | None = None
    top5: float | None = None
    top1_change: float | None = None
    perplexity: float | None = None

    @property
    def label(self) -> str:
        """Method and paper."""
        return f"{self.method}, {self.source}" if self.source else self.method

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return dc.asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> Published:
        """A published result from its JSON form.

        Raises:
            FormatError: as for a point.
        """
        return cls(**typed_fields(cls, check_fields(cls, data, "a published result"), "a published result"))


@dc.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything a report shows.

    Args:
        title: heading of the report.
        points: the runs, failed ones too.
        recipes: by method, its recipe as a mapping or as YAML text.
        environment: machine, python, torch and secateur versions, commit, threads, date.
        settings: epochs and whatever else was the same for all.
        mask_pictures: pictures of the first layer's mask, where there are any.
        notes: sentences for the reader.
        published: results to lay over the curves.
        left_out: a sentence for every run or row that could not be read.
    """

    title: str
    points: tuple[Point, ...] = ()
    recipes: Mapping[str, Any] = dc.field(default_factory=dict)
    environment: Mapping[str, Any] = dc.field(default_factory=dict)
    settings: Mapping[str, Any] = dc.field(default_factory=dict)
    mask_pictures: tuple[MaskPicture, ...] = ()
    notes: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("points", "mask_pictures", "notes", "published", "left_out"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, with the version of the format."""
        return {
            "version": VERSION,
            "title": self.title,
            "points": [p.to_dict() for p in self.points],
            "recipes": dict(self.recipes),
            "environment": dict(self.environment),
            "settings": dict(self.settings),
            "mask_pictures": [m.to_dict() for m in self.mask_pictures],
            "notes": list(self.notes),
            "published": [p.to_dict() for p in self.published],
            "left_out": list(self.left_out),
        }

    @classmethod
    def from_dict(cls, data: object) -> Comparison:
        """A comparison from its JSON form.

        Raises:
            FormatError: newer version, or a field that is unknown, missing or of a wrong type.
        """
        if not isinstance(data, Mapping) or type(data.get("version")) is not int:
            raise FormatError("a report's data must be a mapping with a whole number 'version'; it may not be a points.json")
        if data["version"] > VERSION:
            raise FormatError(f"a report's data has version {data['version']}; this secateur reads up to {VERSION}: update it")
        fields = dict(check_fields(cls, {k: v for k, v in data.items() if k != "version"}, "a report's data"))
        kinds: dict[str, type] = {"title": str, "recipes": Mapping, "environment": Mapping, "settings": Mapping}
        kinds |= dict.fromkeys(("points", "mask_pictures", "notes", "published", "left_out"), list)
        for name, value in fields.items():
            if not isinstance(value, kinds[name]):
                raise FormatError(f"a report's {name!r} must be a {kinds[name].__name__.lower()}; got {value!r:.80}")
        fields["points"] = tuple(map(Point.from_dict, fields.get("points", [])))
        fields["mask_pictures"] = tuple(map(MaskPicture.from_dict, fields.get("mask_pictures", [])))
        fields["published"] = tuple(map(Published.from_dict, fields.get("published", [])))
        fields |= {name: tuple(map(str, fields.get(name, []))) for name in ("notes", "left_out")}
        return cls(**fields)


def ratio(dense: float | None, new: float | None) -> float | None:
    """How many times smaller the new number is; None where either is missing or zero."""
    return dense / new if dense and new else None


def check_fields(cls: type[Any], data: object, what: str) -> Mapping[str, Any]:
    """The mapping, once its keys are known to fit the dataclass."""
    if not isinstance(data, Mapping):
        raise FormatError(f"{what} must be a mapping; got {data!r:.80}")
    known = {f.name: f for f in dc.fields(cls)}
    for key in data:
        if key not in known:
            raise FormatError(f"{what} has no field {key!r}; {did_you_mean(key, known)}")
    lacking = [n for n, f in known.items() if n not in data and f.default is dc.MISSING and f.default_factory is dc.MISSING]
    if lacking:
        raise FormatError(f"{what} needs {', '.join(map(repr, lacking))}")
    return data


def typed_fields(cls: type[Any], fields: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Every field as its annotation wants it, or a FormatError."""
    hints = get_type_hints(cls)
    return {k: typed(v, hints[k], f"{what}'s {k!r}") for k, v in fields.items()}


def typed(value: Any, hint: Any, what: str) -> Any:
    """The value as its annotation wants it, or a FormatError."""
    try:
        return coerce(value, hint, what)
    except RecipeError as e:
        raise FormatError(str(e)) from e
