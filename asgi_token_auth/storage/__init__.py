"""What is kept: connections, tables, and one module of queries a table."""
