"""Every item of a study beside its report: rows of answers side by side, pages that a browser reads from the disk."""
