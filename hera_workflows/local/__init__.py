"""The local runner: executes a rendered Argo Workflow on this machine."""
