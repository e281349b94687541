#[derive(Debug, Clone, serde::Serialize)]
pub struct Dangling {}
