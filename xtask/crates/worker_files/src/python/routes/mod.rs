//! Routes that the program requests and serves, and what else it offers.

pub mod bodies;
pub mod offers;
pub mod requests;
pub mod urls;
