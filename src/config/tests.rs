//! Claims about the configuration, made through `load` alone, as an operator would see them.

mod case;
mod keys;
mod layers;
mod refusals;
mod sockets;
