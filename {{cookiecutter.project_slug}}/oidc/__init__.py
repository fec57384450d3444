"""The relying party: how this site talks to its OpenID Provider. README.md in this folder is its manual.

It comes from the template and changes by `cruft update`; a site imports everything but `oidc.internal`.
"""

__version__ = "0.2.0"
