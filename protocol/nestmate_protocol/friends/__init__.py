"""Friends: invites that make two strangers contacts, and the local list of contacts."""
