//! Reads the configuration files of the project's programs: typed values out of TOML, each with its place in the file, so
//! that everything that is wrong is shown at once with file, line, column and fix.
//!
//! A program reads its file in this order: [`read_file`], [`document`], a [`Table`] for each table, its values, and at the
//! end [`Problems::refuse`] says whether anything was wrong. Beside it, what every program makes of its configuration: the
//! file of secret [`keys`], [`logging`], the [`lock`] on its directories, and how it runs as a [`service`].

mod diagnostic;
mod duration;
mod file;
pub mod keys;
pub mod lock;
pub mod logging;
pub mod service;
mod size;
mod table;
mod values;
mod words;

pub use toml::Spanned;
pub use toml::de::{DeTable, DeValue};

pub use diagnostic::{ConfigError, Diagnostic, MAX_SHOWN, Problems};
pub use duration::{duration, duration_text};
pub use file::{MAX_FILE_SIZE, document, read_file};
pub use size::{size, size_text};
pub use table::{Table, TableKeys};
pub use values::{absolute_path, array, integer, ip_address, refuse_repeated, socket_address, string, type_name, word};
pub use words::{list, suggestion};
