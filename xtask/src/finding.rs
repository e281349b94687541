//! What compare and hub-lint have to say: a finding, with a code, a place and a way on.
