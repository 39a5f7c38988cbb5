"""Setpoints: the idle one, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.dispatch import checked, idle
from gridnet.errors import InputError


def test_idle_rests_the_batteries_and_leaves_pv_to_the_sun() -> None:
    asked = idle(batch=2, batteries=1, devices=3)
    np.testing.assert_array_equal(asked, np.tile([[[0.0, np.inf, np.inf], [0.0, 0.0, 0.0]]], (2, 1, 1)))


def test_a_good_setpoint_passes_as_it_is() -> None:
    asked = np.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_array_equal(checked(asked, 2, 2), asked)
    np.testing.assert_array_equal(checked(np.asfortranarray(asked.astype(np.float32)), 2, 2), asked)
    np.testing.assert_array_equal(checked(idle(1, 0, 1), 1, 1), [[[np.inf], [0.0]]])


@pytest.mark.parametrize("shape", [(2, 2), (1, 2, 3), (2, 3, 2), (2, 2, 3, 1), (2, 2, 2), (0, 2, 3)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected \(2, 2, 3\)"):
        checked(np.zeros(shape), 2, 3)


def test_a_nan_is_refused_and_named() -> None:
    asked = np.zeros((3, 2, 4))
    asked[2, 1, 3] = np.nan
    with pytest.raises(InputError, match=r"device 3 in row 2 is NaN \(q_kvar\)"):
        checked(asked, 3, 4)
