"""`python -m salescoach`: the commands, where no script of that name is on the path."""

from salescoach.cli import main

main()
