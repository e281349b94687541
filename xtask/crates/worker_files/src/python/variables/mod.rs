//! Variables of the environment that the program reads and sets.

pub mod declared;
pub mod environment;
pub mod settings;
pub mod whole_environment;
pub mod writes;
