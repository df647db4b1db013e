"""`python -m atum_ops` is `atum-mailer`."""

from atum_ops.cli import main

if __name__ == "__main__":
    main()
