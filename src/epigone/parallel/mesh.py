"""A mesh from one string: `data,fsdp,tensor`, such as `1,-1,1`.

In: how many devices each axis takes; one of them may be -1, "the rest". Out: sizes, or a `jax.sharding.Mesh` over all
devices of all processes. Over `data` blocks are divided; over `fsdp` blocks and parameters; over `tensor` heads, hidden
units and the vocabulary. `tensor` is the innermost axis: its neighbours talk the most.
Source: the paper, section 4.1 (fully sharded data parallelism with tensor parallelism); the axes are EasyLM's dp, fsdp,
mp (https://github.com/young-geng/EasyLM).
"""

import math
import re

import jax
from jax.sharding import AxisType, Mesh

from epigone.errors import SpecError

AXES = ("data", "fsdp", "tensor")
REST = -1


def sizes(text: str, num_devices: int) -> dict[str, int]:
    """Devices by axis. Raises SpecError where the text is no mesh or does not come to so many devices."""
    entries = [entry.strip() for entry in text.split(",")]
    if len(entries) != len(AXES) or not all(re.fullmatch(r"-1|[1-9]\d*", entry) for entry in entries):
        raise SpecError(
            f"mesh {text!r}: give three whole numbers, {','.join(AXES)}, each 1 or more or (once) -1 for the rest; "
            "such as 1,-1,1"
        )
    found = [int(entry) for entry in entries]
    if found.count(REST) > 1:
        raise SpecError(f"mesh {text!r}: only one of {','.join(AXES)} can be the rest (-1)")
    given = math.prod(size for size in found if size != REST)
    if num_devices % given or (REST not in found and given != num_devices):
        raise SpecError(
            f"mesh {text!r}: {given} places do not {'divide' if REST in found else 'match'} the {num_devices} devices "
            f"there are; their product must be {num_devices}, and one entry may be -1"
        )
    return dict(zip(AXES, [num_devices // given if size == REST else size for size in found], strict=True))


def make_mesh(text: str) -> Mesh:
    """The mesh over all devices of all processes. Raises SpecError as `sizes` does."""
    shape = tuple(sizes(text, jax.device_count()).values())
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES))
