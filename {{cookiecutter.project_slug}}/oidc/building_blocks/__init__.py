"""What a user policy is built from; the policy itself, and all that it decides, is the site's `accounts/backends.py`."""
