"""What the local Studio keeps: records, models, blobs, keys."""
