//! `lb-agent`, as a library: measures what a real server has to do ([`measure`]) and tells the load balancers, by reports
//! (`reporter`) and to those that ask (`agent_check`). It also prepares the host to be a real server (`setup`), and says what is
//! missing (`doctor`). Only `decap` touches BPF.

mod agent;
mod agent_check;
pub mod cli;
pub mod config;
mod control;
mod decap;
mod doctor;
mod generation;
pub mod measure;
mod reporter;
pub mod run;
mod setup;
mod source;
