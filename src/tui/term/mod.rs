//! The terminal itself: what is printed once stays in its scrollback; a few rows below are repainted.
