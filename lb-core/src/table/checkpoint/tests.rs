//! What is told of the table, and what another table makes of it.
