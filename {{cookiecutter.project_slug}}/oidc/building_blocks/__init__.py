"""What a user policy is built from. The policy itself, and all that it decides, is the site's."""
