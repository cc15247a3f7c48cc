"""Charts as SVG, drawn on the server.

Nothing depends on the width on the screen. Places along the horizontal axis are in percent, and curves are
in a nested SVG that stretches, so that texts, hatching and lines keep their size on a phone and on a wide
screen. No style attribute is written, since the pages' policy forbids it: colours come from classes.
"""
