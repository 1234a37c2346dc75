//! Who is connected: connections are accepted, watched and ended here, so that a client that sends
//! little, or nothing, takes nothing from others.
//!
//! [`serve`] accepts. Each connection has a seat (`seats`), of which there are so many in all and
//! so many for one address; when all are taken, those go first that have been idle longest. One
//! task drives the connection (`driving`): it knows how far the connection is (`life`) and ends it
//! when that takes too long ([`ConnectionOptions`]). What is sent goes through a `socket`, and through
//! TLS if there is a certificate (`transport`). hyper reads and writes through `wire`, which shows it one request at a time (`framing`), sees what hyper does not tell (two lengths of one
//! body), and notices when the client has left. `answering` hands each request to the router with
//! what is known of its sender ([`Peer`]) and of its head ([`HeadFault`]), and makes sure that no
//! connection closes unannounced behind an answer. Where no request comes of what was sent, `refusal`
//! has the router refuse it.
//!
//! What is said in an answer is decided elsewhere: this folder knows no route, caller or body.

mod answering;
mod counts;
mod descriptors;
mod driving;
mod framing;
mod head;
mod life;
mod options;
mod pace;
mod refusal;
mod seats;
mod serving;
mod socket;
mod transport;
mod wire;

pub(super) use answering::Peer;
pub(super) use counts::ConnectionCounts;
pub use descriptors::{DescriptorLimit, raise_descriptor_limit};
pub(super) use head::HeadFault;
pub use options::ConnectionOptions;
pub(super) use pace::Pace;
pub(super) use serving::serve;
