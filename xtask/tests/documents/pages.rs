//! What the documents say about the repository is so.
