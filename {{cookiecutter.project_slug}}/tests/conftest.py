pytest_plugins = ["oidc.testing.fixtures"]
