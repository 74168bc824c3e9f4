"""A shop's page out of two services and a database, under one deadline; see README.md."""
