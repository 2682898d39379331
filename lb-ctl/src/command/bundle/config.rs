//! The configuration file without what may be secret. Keys are in files of their own; but checks send words of their own, and
//! programs have arguments. Comments are left out, too.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

/// Most bytes of a file that is read.
const MAX_FILE: u64 = 4 << 20;
/// What stands in the place of what is left out.
const LEFT_OUT: &str = "(left out)";
/// Keys whose values may be secret: what checks send and expect, and the arguments of programs.
const MAYBE_SECRET: [&str; 11] =
    ["command", "notify", "fence", "send", "send_hex", "expect", "expect_hex", "body", "path", "password", "secret"];

/// Reads the file.
///
/// # Errors
/// It cannot be read, or is no TOML.
pub(super) fn read(path: &Path) -> Result<Value, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| failed(&error))?;
    // The parser's own words would quote the line.
    let mut value: Value = toml::from_str(&text).map_err(|_| failed(&"it is no TOML"))?;
    leave_out(&mut value);
    Ok(value)
}

fn leave_out(value: &mut Value) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                // A pair's paths are tables, and a check's path is text.
                let is_table =
                    value.is_object() || value.as_array().is_some_and(|list| list.iter().all(Value::is_object));
                if MAYBE_SECRET.contains(&key.as_str()) && !is_table {
                    *value = Value::String(LEFT_OUT.to_owned());
                } else {
                    leave_out(value);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(leave_out),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_left_out() {
        let text = r#"
interfaces = ["eth0"] # hunter2
[reports]
key_file = "/etc/understudy/keys"
[[check]]
name = "own"
command = ["/bin/probe", "hunter2"]
[[check]]
name = "web"
path = "/health?token=hunter2"
body = "hunter2"
[pair.hooks]
fence = ["/bin/fence", "hunter2"]
[[pair.path]]
device = "/dev/ttyS0"
"#;
        let mut value: Value = toml::from_str(text).unwrap();
        leave_out(&mut value);
        assert!(!value.to_string().contains("hunter2"), "{value}");
        assert_eq!(value["check"][0]["command"], LEFT_OUT);
        assert_eq!(value["check"][0]["name"], "own");
        assert_eq!(value["pair"]["path"][0]["device"], "/dev/ttyS0");
        assert_eq!(value["reports"]["key_file"], "/etc/understudy/keys");
    }

    #[test]
    fn what_is_no_toml_is_not_quoted() {
        let error = read(Path::new("/proc/version")).unwrap_err();
        assert_eq!(error, "/proc/version: it is no TOML");
    }
}
