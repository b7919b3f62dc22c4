"""`python -m epigone` is the command `epigone`."""

from epigone.cli.app import main

if __name__ == "__main__":
    main()
