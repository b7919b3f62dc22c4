"""Every figure as a PNG too, for slides and places that show no SVG.

In: the files of a report. Out: the same, and behind each figure's `.svg` a `.png` at twice its size. Letters are drawn
with the fonts of this machine, so that the bytes are the same on one machine, not on all; the SVG's are.
"""

from collections.abc import Iterator, Mapping

import vl_convert

SCALE = 2


def with_pictures(files: Mapping[str, bytes | str]) -> Iterator[tuple[str, bytes | str]]:
    """(relative path, content) of every file, one at a time."""
    for name, content in files.items():
        yield name, content
        if name.endswith(".svg"):
            svg = content if isinstance(content, str) else content.decode()
            yield f"{name.removesuffix('.svg')}.png", vl_convert.svg_to_png(svg, scale=SCALE)
