"""What a page shows, computed from an index: plain values and rows, no requests, no HTML, no SQL."""
