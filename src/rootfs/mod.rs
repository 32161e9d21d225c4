//! Room rootfs.
