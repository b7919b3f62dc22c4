"""Many devices as one: the mesh, which dim of an array goes over which axis, and several processes."""
