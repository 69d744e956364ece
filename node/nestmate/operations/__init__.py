"""The one table of operations, from which every door and the client are rendered."""
