//! The only code that prints findings.
