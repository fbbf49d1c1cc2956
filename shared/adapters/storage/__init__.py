"""Azure Storage: blobs and queues."""
