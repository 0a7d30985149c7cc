//! Where the person writes.
