"""Reports: self-contained HTML files that open offline."""
