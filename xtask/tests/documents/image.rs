//! The documents' commands that need docker.
