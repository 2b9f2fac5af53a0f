"""Puts what no package can hold into the wheel: Streamlit's settings, beside app.py where Streamlit looks for them."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SETTINGS = Path(".streamlit", "config.toml")


class WithSettings(build_py):
    """Copies one more file."""

    def run(self) -> None:
        super().run()
        target = Path(self.build_lib) / SETTINGS
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(SETTINGS, target)


setup(cmdclass={"build_py": WithSettings})
