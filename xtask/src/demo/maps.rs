//! What the XDP program reads, shown by bpftool.

use anyhow::{Context, Result};
use lb_lab::Lbd;

/// How far bpftool sets in a row, less what is pleasant.
const ROW_INDENT: usize = 6;

/// Shows a service and a real server as they are in the maps.
pub fn show(lbd: &Lbd) -> Result<()> {
    ["services", "reals"].iter().try_for_each(|map| show_map(lbd, map))
}

/// Shows the first used row of a pinned map as bpftool prints it, each field on one line.
fn show_map(lbd: &Lbd, map: &str) -> Result<()> {
    let path = lbd.bpf_dir().join(map);
    let dump = lb_lab::output(lb_lab::tool("bpftool").args(["map", "dump", "pinned"]).arg(&path))?;
    let row = first_used_row(&dump).with_context(|| format!("no row of {} is in use", path.display()))?;
    println!("\n$ bpftool map dump pinned {}\n...\n{}\n...", path.display(), row.join("\n"));
    Ok(())
}

/// The lines of the first row whose value is not all zero. Rows of an array are there whether they are used or not.
fn first_used_row(dump: &str) -> Option<Vec<String>> {
    let mut rows = vec![Vec::<String>::new()];
    for line in dump.lines() {
        match line.trim() {
            // The end of an array of numbers, which bpftool puts on a line of its own.
            end @ ("]" | "],") => rows.last_mut()?.last_mut()?.push_str(end),
            "}]" => {}
            "},{" => rows.push(Vec::new()),
            _ => rows.last_mut()?.push(line.replace("[{", "  ").trim_end().chars().skip(ROW_INDENT).collect()),
        }
    }
    let is_used = |row: &Vec<String>| {
        let value = row.iter().skip_while(|line| !line.contains("\"value\""));
        value.flat_map(|line| line.split_once(':')).any(|(_, number)| number.contains(|c| ('1'..='9').contains(&c)))
    };
    rows.into_iter().find(is_used).map(|row| row.into_iter().filter(|line| !line.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_rows_of_a_dump_are_passed_over() {
        let row = |key: u32, octet: u32, ifindex: u32| {
            format!(
                "        \"key\": {key},\n        \"value\": {{\n            \"address\": [{octet},0\n            ],\n            \"ifindex\": {ifindex}\n        }}\n"
            )
        };
        let dump = format!("[{{\n{}    }},{{\n{}    }},{{\n{}    }}]\n", row(0, 0, 0), row(7, 0, 3), row(8, 192, 3));
        let shown = first_used_row(&dump).unwrap();
        let shown: Vec<&str> = shown.iter().map(|line| line.trim()).collect();
        assert_eq!(shown, ["\"key\": 7,", "\"value\": {", "\"address\": [0,0],", "\"ifindex\": 3", "}"]);
        assert_eq!(first_used_row(&format!("[{{\n{}    }}]\n", row(0, 0, 0))), None);
    }
}
