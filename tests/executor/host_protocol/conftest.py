from tests.support.patience import patience  # noqa: F401
