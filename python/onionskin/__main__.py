"""``python -m onionskin``: the command line."""

from onionskin.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
