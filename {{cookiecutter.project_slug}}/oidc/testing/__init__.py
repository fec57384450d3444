"""The testing kit: an OpenID Provider (`op`), a browser without a screen (`browser`), pytest fixtures (`fixtures`).

For tests and development only: production neither installs nor imports it. In a site's conftest.py:

    pytest_plugins = ["oidc.testing.fixtures"]
"""
