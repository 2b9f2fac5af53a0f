"""What a person takes away from the explorer: one HTML file, pictures, tables, graphs for other tools, a report."""

from engine.export.graph_page import graph_html
from engine.export.graphml import to_graphml
from engine.export.raster import chart_png, chart_svg, to_png
from engine.export.report import run_report
from engine.export.svg import graph_svg
from engine.export.tables import edges_csv, node_table, nodes_csv
from engine.export.texts import file_name
from engine.export.tracer import tracer_json

__all__ = [
    "chart_png",
    "chart_svg",
    "edges_csv",
    "file_name",
    "graph_html",
    "graph_svg",
    "node_table",
    "nodes_csv",
    "run_report",
    "to_graphml",
    "to_png",
    "tracer_json",
]
