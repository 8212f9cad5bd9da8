"""Studies over HTTP, and `foretaste study`: one command that trains a study and writes its report."""
