"""Texts as vectors, and a database of vectors in a contract's storage (spec sdk/05).

The generation that contracts of v0.2 name; that of v0.1 has a database with a fixed distance.
"""

__all__ = (
    "Distance",
    "EuclideanDistanceSquared",
    "SentenceTransformer",
    "SentenceTransformerFromPath",
    "VecDB",
    "get_model",
)

from .distance import Distance, EuclideanDistanceSquared
from .elements import VecDBElement as VecDBElement
from .models import SentenceTransformer, SentenceTransformerFromPath, get_model
from .vec_db import VecDB
