//! Facts about the host, asked once.
