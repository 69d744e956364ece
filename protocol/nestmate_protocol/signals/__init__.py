"""Signals: calls for help that spread, fade and are answered by whoever is fit."""
