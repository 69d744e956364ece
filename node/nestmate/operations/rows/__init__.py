"""The rows of the table of operations, by subject; types and functions as text."""
