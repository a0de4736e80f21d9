"""Reading of input files: strict YAML, schema, messages; no schema of a command."""
