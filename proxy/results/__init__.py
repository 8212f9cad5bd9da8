"""Results that others measured: read from tables, checked row by row, and compared. No web, queue or database."""
