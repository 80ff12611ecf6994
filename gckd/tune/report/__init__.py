"""What comes out of a search: tables, pictures and one page, all from the study."""
