//! The cache: one slot for each identity, at most one token request at a time, every decision a pure function.

pub mod classify;
pub mod commit;
mod flight;
mod issued;
#[cfg(test)]
mod model;
mod registry;
mod share;
mod slot;

pub use flight::{Flight, Pulse, Spawn, ThreadSpawner};
pub use issued::Issued;
pub use registry::{Registry, SlotKey};
pub use share::{Found, Health, Share};
pub use slot::{
    Caller, Counters, Fetch, Fetched, Need, Presence, Rejected, Routed, Slot, SlotInfo,
    SlotOptions, Status, Waited, held, next_number,
};
