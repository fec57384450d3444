"""The smallest site around the relying party: what its tests need of a site, and no policy or page of a team's."""
