"""What the template's site costs, measured. The tests do not run it."""

# Who the sites are at their OP: client id and secret.
CLIENT = ("benchmark", "longer-than-thirty-two-bytes-and-no-secret")
# A code that no OP has issued.
MADE_UP = "made-up"
