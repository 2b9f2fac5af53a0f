"""The map of where training acted: one cell a place, layers from the embeddings up, tokens as in the prompt."""

import pandas as pd

from engine.figures.acted_chart import acted_map, map_height


def test_cells_axes_and_colors() -> None:
    places = pd.DataFrame(
        [(2, 1, "</b>", 3.0), (-1, 0, "<bos>", -1.0), (0, 1, "</b>", 0.5)],
        columns=["layer", "position", "token", "part"],
    )
    drawn = acted_map(places, ("<bos>", " </b>", " "), 2).to_dict()
    rows = next(iter(drawn["datasets"].values()))
    assert rows[0] == {"token": "1 </b>", "layer": "output", "part": 3.0}
    assert rows[1] == {"token": "0 <bos>", "layer": "embeddings", "part": -1.0}
    assert drawn["encoding"]["y"]["scale"]["domain"] == ["output", "L1", "L0", "embeddings"]
    assert drawn["encoding"]["x"]["scale"]["domain"] == ["0 <bos>", "1 </b>", "2 ␣"]
    assert drawn["encoding"]["color"]["scale"]["domain"] == [-3.0, 0, 3.0]


def test_nothing_changed() -> None:
    empty = pd.DataFrame({"layer": [], "position": [], "token": [], "part": []}).astype({"position": int, "layer": int})
    assert acted_map(empty, ("<bos>",), 30).to_dict()["height"] == map_height(30) < 500
