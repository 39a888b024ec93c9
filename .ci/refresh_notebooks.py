"""Run the notebooks on the demo data and store their outputs, without anything that differs from run to run.

python .ci/refresh_notebooks.py            rewrite notebooks/*.ipynb
python .ci/refresh_notebooks.py funnel     only the named ones
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
import papermill

from salescoach.batch.kernel import PrivateKernelManager

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def refresh(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        notebook = papermill.execute_notebook(
            str(path),
            str(Path(folder) / path.name),
            kernel_name="python3",
            progress_bar=False,
            cwd=folder,
            kernel_manager_class=PrivateKernelManager,
            shutdown_kernel="immediate",
        )
    notebook.metadata.pop("papermill", None)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for file in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not sys.argv[1:] or file.stem in sys.argv[1:]:
            print(file.name)
            refresh(file)
