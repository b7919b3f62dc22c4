"""Records in, tables, figures and one HTML document out."""
