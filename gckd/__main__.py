"""`python -m gckd` is the command `gckd`."""

from gckd.cli.main import main

if __name__ == "__main__":
    main()
