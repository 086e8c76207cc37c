"""The library that learns, an optional extra. It takes a second to load, and nothing but the audit needs it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final, NamedTuple

from ..base.errors import ConfigError

_MISSING: Final = "the audit needs an extra: pip install 'obscura[lab]'"


class Learning(NamedTuple):
    """What of scikit-learn the attackers use."""

    forest: Any
    neighbours: Any
    network: Any
    scaler: Any
    one_thread: Any
    """A context manager's maker: arithmetic in it uses one thread, so that sums have one order."""
    releases: tuple[tuple[str, str], ...]
    """Libraries on whose release figures depend."""


def require_learning() -> Learning:
    """scikit-learn's parts. Modules that import NumPy are imported after this was called.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 an optional extra
        from sklearn.neighbors import KNeighborsClassifier  # noqa: PLC0415
        from sklearn.neural_network import MLPClassifier  # noqa: PLC0415
        from sklearn.preprocessing import StandardScaler  # noqa: PLC0415
        from threadpoolctl import threadpool_limits  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError(_MISSING) from error
    return Learning(
        forest=RandomForestClassifier,
        neighbours=KNeighborsClassifier,
        network=MLPClassifier,
        scaler=StandardScaler,
        one_thread=threadpool_limits,
        releases=tuple((name, version(name)) for name in ("numpy", "scikit-learn")),
    )
