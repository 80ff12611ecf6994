"""Run records in; statistics, tables and figures out. Imports no runner."""
