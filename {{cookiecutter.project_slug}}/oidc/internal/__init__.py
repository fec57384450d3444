"""The inside of the relying party: may change with every update, so a site imports none of it."""
