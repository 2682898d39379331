//! `lb-agent` as a process: its reports, what it measures of real servers, and a real HAProxy that asks it. Needs root for
//! network namespaces.

mod haproxy;
mod load_balancer;
mod measures;
mod reports;
mod support;
