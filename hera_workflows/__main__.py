"""`python -m hera_workflows` is `slipway`."""

from hera_workflows.cli import main

main()
