"""The workflows: steps, learning, templates, the local runner, the one-machine platform and the command line."""
