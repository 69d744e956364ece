"""``python -m nestmate`` is the ``nestmate`` command."""

from nestmate.cli import main

if __name__ == "__main__":
    main()
