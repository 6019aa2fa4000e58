"""The environment repository: releases, holds and approvals as commits."""
