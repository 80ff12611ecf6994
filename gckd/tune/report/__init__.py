"""Report of a search: tables, figures and one HTML page, all from the study."""
