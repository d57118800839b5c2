"""Marks of classes (spec sdk/02 §3.1)."""

__all__ = ("allow_storage",)


def allow_storage[C: type](cls: C, /) -> C:
    """Class decorator: the class may be used in storage, as a field, item, key or value."""
    cls.__gl_allow_storage__ = True  # type: ignore[attr-defined]
    return cls
