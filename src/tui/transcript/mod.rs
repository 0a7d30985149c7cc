//! The conversation as cells: each is live until it is finished, and is then printed once.
