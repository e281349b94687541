//! THE contract: what retires, what is core, what `.runpod/` may hold, and how paths map.
