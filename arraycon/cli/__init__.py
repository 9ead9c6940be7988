"""The `arraycon` command; `app` needs Typer, `job` is what `apply` does without it."""
