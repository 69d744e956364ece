"""Identity: who an agent is, whatever its keys and hosts are today."""
