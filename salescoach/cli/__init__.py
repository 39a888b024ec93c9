"""The command `salescoach`: one thin layer over the package."""

from salescoach.cli.main import main

__all__ = ["main"]
