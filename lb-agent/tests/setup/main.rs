//! `lb-agent setup` and `lb-agent doctor` on hosts in network namespaces. Needs root, nft, and for one test an `lbd` beside
//! `lb-agent`.

mod command_line;
mod decap;
mod dsr;
mod host;
mod ipip;
mod packet;
