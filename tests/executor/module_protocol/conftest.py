from tests.support.patience import patience, time_for_statistics  # noqa: F401
