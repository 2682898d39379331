//! Network namespaces for the demo, the tests and the benches.
