"""How far apart two vectors are: the fourth type argument of a database."""

import typing

import numpy as np
from genlayer.py.storage import allow_storage

type Vector = np.ndarray[typing.Any, typing.Any]


class Distance(typing.Protocol):
    """A storage class; its fields are part of the database's record."""

    def __call__(self, left: Vector, right: Vector, /) -> typing.Any: ...


@allow_storage
class EuclideanDistanceSquared:
    """Sum of the squared differences; no fields."""

    def __call__(self, left: Vector, right: Vector) -> typing.Any:
        return np.sum((left - right) ** 2)

    def batch(self, left: Vector, right: Vector) -> Vector:
        """Row by row."""
        distances: Vector = np.sum((left - right) ** 2, axis=-1)
        return distances
