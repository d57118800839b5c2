"""Texts as vectors, and a database of vectors in a contract's storage (spec sdk/05): the generation of v0.1."""

__all__ = ("Model", "SentenceTransformer", "VecDB")

from .elements import VecDBElement as VecDBElement
from .models import SentenceTransformer
from .old_models import Model
from .vec_db import VecDB
