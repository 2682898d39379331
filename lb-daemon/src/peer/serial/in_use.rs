//! Who else uses a serial line: a line that somebody sits at, or that the kernel writes to, is none for heartbeats.

use std::fs;

/// Lists the terminals that are consoles of the kernel, by the names of their devices.
const CONSOLES: &str = "/sys/class/tty/console/active";
/// In `/proc/PID/stat` after the command's name, which may have spaces: the field of the controlling terminal.
const TERMINAL_FIELD: usize = 4;

/// Who uses the character device of this number, in words; none, where nobody is known to.
pub(super) fn user(number: u64) -> Option<String> {
    if is_console(number) {
        return Some("a console of the kernel (`console=` of its command line)".to_owned());
    }
    let (pid, name) = terminal_of(number)?;
    Some(format!("the terminal of process {pid} ({name})"))
}

fn is_console(number: u64) -> bool {
    let consoles = fs::read_to_string(CONSOLES).unwrap_or_default();
    consoles.split_whitespace().any(|name| {
        let text = fs::read_to_string(format!("/sys/class/tty/{name}/dev")).unwrap_or_default();
        device_number(text.trim()) == Some(number)
    })
}

/// `4:64`.
fn device_number(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    Some(libc::makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// A process that has the device as its controlling terminal: a login, say, or a shell.
fn terminal_of(number: u64) -> Option<(u32, String)> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.into_iter().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        (terminal(&stat)? == number).then(|| (pid, command(&stat).unwrap_or_default().to_owned()))
    })
}

fn command(stat: &str) -> Option<&str> {
    Some(stat.split_once('(')?.1.rsplit_once(')')?.0)
}

/// The terminal that a `stat` names, as the number of a device.
fn terminal(stat: &str) -> Option<u64> {
    let fields = stat.rsplit_once(')')?.1;
    let number: i32 = fields.split_whitespace().nth(TERMINAL_FIELD)?.parse().ok()?;
    let number = number as u32;
    // As the kernel packs it: minor in bits 31 to 20 and 7 to 0, major between.
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xf_ff00));
    (number != 0).then(|| libc::makedev(major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_is_read_out_of_a_stat() {
        assert_eq!(terminal("12 (a (b) c) S 1 12 12 34816 12 4194304"), Some(libc::makedev(136, 0)));
        assert_eq!(terminal("12 (agetty) S 1 12 12 1088 12"), Some(libc::makedev(4, 64)));
        assert_eq!(terminal("12 (x) S 1 12 12 1083394 12"), Some(libc::makedev(136, 258)));
        assert_eq!(terminal("12 (lbd) S 1 12 12 0 -1"), None);
        assert_eq!(terminal("nonsense"), None);
        assert_eq!(command("12 (a (b) c) S 1"), Some("a (b) c"));
    }

    #[test]
    fn a_number_is_read_as_the_kernel_prints_it() {
        assert_eq!(device_number("4:64"), Some(libc::makedev(4, 64)));
        assert_eq!(device_number("4"), None);
    }
}
