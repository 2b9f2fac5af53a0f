"""Text that goes into files, and the names of files."""

from xml.etree import ElementTree as ET

import pytest

from engine.export.texts import file_name, printable


def test_what_xml_forbids_is_made_visible_and_the_rest_is_kept() -> None:
    every = "".join(map(chr, [*range(0x300), 0xD800, 0xDFFF, 0xFFFE, 0xFFFF, 0x1F600]))
    shown = printable(every)
    element = ET.Element("a")
    element.text = shown
    read = ET.fromstring(ET.tostring(element, encoding="utf-8")).text  # noqa: S314 - our own
    assert read == shown  # a parser gives back what was written
    assert printable("naïve ▁ “x” 😀\t\n") == "naïve ▁ “x” 😀\t\n"
    assert printable("a\x00b\rc\ud800") == "a␀b␍c\ufffd"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demo-lora@100% demo-tokens@100%", "demo-lora-100pct-demo-tokens-100pct.svg"),
        ("../../etc/passwd", "etc-passwd.svg"),
        ("", "export.svg"),
        ("😀\x00/\\", "export.svg"),
        (".hidden", "hidden.svg"),
    ],
)
def test_a_file_name_is_safe_everywhere(name: str, expected: str) -> None:
    assert file_name(name, ".svg") == expected


def test_a_long_name_is_cut() -> None:
    assert len(file_name("x" * 5000, "-edges.csv")) < 130
