//! The cache: one slot for each identity, at most one token request at a time, every decision a pure function.

mod answers;
pub mod commit;
pub mod decide;
mod flight;
mod hold;
mod issued;
#[cfg(test)]
pub(crate) mod model;
mod registry;
mod shared;
mod slot;

pub(crate) use answers::{dead_on_arrival, own_expired};
pub use flight::{Flight, Pulse, Spawn, ThreadSpawner};
pub use hold::{Hit, Hold};
pub use issued::Issued;
pub use registry::{Registry, SlotKey};
pub use shared::{FoundToken, Health, SharedTokens};
pub use slot::{
    Caller, Counters, Fetch, Fetched, Need, Presence, Rejected, Reloaded, Routed, Slot, SlotInfo,
    SlotOptions, Status, Waited, next_number,
};
