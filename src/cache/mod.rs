//! The cache: one slot for each identity, at most one token request at a time, every decision a pure function.

mod answers;
pub(crate) mod commit;
pub(crate) mod decide;
mod flight;
mod hold;
mod issued;
#[cfg(test)]
pub(crate) mod model;
mod registry;
mod shared;
mod slot;

pub(crate) use answers::{dead_on_arrival, own_expired};
pub use flight::{Spawn, ThreadSpawner};
pub(crate) use hold::{Board, Hold};
pub(crate) use issued::Issued;
pub(crate) use registry::{Registry, SlotKey};
pub(crate) use shared::SharedTokens;
pub(crate) use slot::{
    Caller, Fetch, Fetched, Presence, Reloaded, Routed, Slot, SlotInfo, SlotOptions, Status, Waited,
};
